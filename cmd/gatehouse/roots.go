package main

// The authorities of Mozilla's list, for machines that have none, such as a container
// image with nothing but this program. Go uses the system's if there are any.
import _ "golang.org/x/crypto/x509roots/fallback"
