// Package e2e drives the built binary with real clients: the AWS CLI, the SDKs,
// docker, crane, skopeo, npm, pip and others, unchanged.
//
// Each file in testdata/script is a testscript: the commands that a person would type,
// with checks of their output (see the documentation of
// rogpeppe/go-internal/testscript). The tests named TestSeed… prove the claims of
// docs/seeds.md, one each.
//
// scripts/install-clients installs the clients. A test fails if its client is missing;
// none skips itself.
package e2e
