// Package containers logs in the clients of container registries: docker; podman
// with skopeo and buildah; helm; oras.
//
// All of them keep their passwords in files of the form of docker's config.json
// and can ask a helper instead, for one host or for all. Login has them ask ours
// for the registry's host:
//
//	"credHelpers": {"127.0.0.1:4283": "gatehouse"}
//
// In every one of them such an entry wins over the same file's auths, where
// `docker login` stores a password, also over those for a path below the host,
// and over its credsStore, the helper for all hosts (docker/cli
// cli/config/configfile; containers-auth.json(5); oras-go
// registry/remote/credentials). So they stay as they are, and count again after
// logout. They differ in which files they read.
//
// The helper is started by the name docker-credential-gatehouse, which has to be
// on PATH.
package containers

import (
	"io/fs"
	"maps"
	"slices"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/textedit/jsonedit"
)

const (
	// helper is our name in configurations.
	helper = "gatehouse"
	// program is how the clients start it.
	program = "docker-credential-" + helper
)

// mode is that of the clients' own files, which are made for passwords.
const mode fs.FileMode = 0o600

// files says which files a client reads, the one that is to be changed first.
type files func(login.Environment) []string

// client is a tool that reads its passwords from one file.
func client(name string, read files, next func(login.Target) string, programs ...string) login.Tool {
	return login.Tool{
		Name: name, Programs: programs, Helper: program, Secret: login.FromHelper,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			var edits []login.Edit
			for _, path := range read(p) {
				edits = append(edits, ask(path, t.Endpoint.Host))
			}
			return edits, nil
		},
		Addresses: addresses(read),
		Next:      next,
	}
}

// ask has the clients that read a file ask our helper for the passwords of a
// host.
func ask(path, host string) login.Edit {
	return login.Edit{
		Path: path, Mode: mode,
		Apply:  func(text []byte) ([]byte, error) { return jsonedit.Set(text, helperOf(host), helper) },
		Remove: func(text []byte) ([]byte, error) { return forget(text, host) },
	}
}

// askRatherThan is ask for a file that has a password for the host, which a
// client would find first. Any other file, and one that is not there, stays.
func askRatherThan(path, host string) login.Edit {
	e := ask(path, host)
	always := e.Apply
	e.Apply = func(text []byte) ([]byte, error) {
		held, err := holds(text, host)
		if err != nil || !held {
			return text, err
		}
		return always(text)
	}
	return e
}

func helperOf(host string) []string { return []string{"credHelpers", host} }

func forget(text []byte, host string) ([]byte, error) {
	value, _, err := jsonedit.Get(text, helperOf(host))
	if err != nil || value != helper {
		return text, err
	}
	return jsonedit.Delete(text, helperOf(host))
}

// holds reports whether a file has its own answer for a host, or for a path
// below it.
func holds(text []byte, host string) (bool, error) {
	named, err := hosts(text)
	return slices.ContainsFunc(named, func(address string) bool { return authtoken.Host(address) == authtoken.Host(host) }), err
}

// hosts are the addresses that a file has passwords or helpers for.
func hosts(text []byte) ([]string, error) {
	named := map[string]bool{}
	for _, part := range []string{"auths", "credHelpers"} {
		value, _, err := jsonedit.Get(text, []string{part})
		if err != nil {
			return nil, err
		}
		members, _ := value.(map[string]any)
		for address := range members {
			named[address] = true
		}
	}
	return slices.Sorted(maps.Keys(named)), nil
}

// addresses are those that the files name.
func addresses(read files) func(login.Environment, login.ReadFile) ([]string, error) {
	return func(p login.Environment, readFile login.ReadFile) ([]string, error) {
		return readFile.Addresses(hosts, read(p)...)
	}
}

// insecure reports whether the registry is reached without TLS.
func insecure(t login.Target) bool { return t.Endpoint.Scheme == "http" }

// plainHTTP is the flag with which helm and oras do without TLS.
func plainHTTP(t login.Target) string {
	if insecure(t) {
		return " --plain-http"
	}
	return ""
}
