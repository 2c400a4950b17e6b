// Package e2e drives the built binary with real clients: the AWS CLI, the SDKs,
// docker, crane, skopeo, npm, pip and whatever else speaks to it unchanged.
//
// Each file in testdata/script is one story, told in the commands that a person
// would type (see the documentation of rogpeppe/go-internal/testscript). The
// tests named TestSeed… are the claims of docs/seeds.md, one by one.
//
// The clients come from scripts/install-clients. None of these tests skips
// itself because a client is missing.
package e2e
