package config

import _ "embed"

// Example is a configuration file with every setting and what it means. Settings that
// are not commented out have their default values. Comment lines that begin with "#"
// and no space are settings without a default, with examples.
//
//go:embed example.yaml
var Example string
