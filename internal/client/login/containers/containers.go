// Package containers logs in the clients of container registries: docker;
// podman with skopeo and buildah; helm; oras.
//
// All of them keep their passwords in files of the format of docker's
// config.json, and can ask a helper instead, for one host or for all. Login
// makes them ask this program for the registry's host:
//
//	"credHelpers": {"127.0.0.1:4283": "gatehouse"}
//
// In all of them this entry takes precedence over the same file's auths, where
// `docker login` stores a password, also for paths below the host, and over its
// credsStore, the helper for all hosts (docker/cli cli/config/configfile;
// containers-auth.json(5); oras-go registry/remote/credentials). So those stay
// as they are and are used again after logout. The clients differ in the files
// that they read.
//
// They start the helper by the name docker-credential-gatehouse, which has to
// be on PATH.
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
	// helper is this program's name in configurations.
	helper = "gatehouse"
	// program is the command that the clients start.
	program = "docker-credential-" + helper
)

// mode is the mode of the clients' own files, which are made for passwords.
const mode fs.FileMode = 0o600

// files returns the files that a client reads, starting with the one to change.
type files func(login.Environment) []string

// client is a tool that reads its passwords from one file.
func client(name string, read files, next func(login.Target) string, programs ...string) login.Tool {
	return login.Tool{
		Name: name, Programs: programs, Helper: program, Secret: login.FromHelper,
		Edits: func(t login.Target, p login.Environment) ([]login.Edit, error) {
			var edits []login.Edit
			for _, path := range read(p) {
				edits = append(edits, useHelper(path, t.Endpoint.Host))
			}
			return edits, nil
		},
		Addresses: addresses(read),
		Next:      next,
	}
}

// useHelper makes the clients that read a file ask this program for the
// passwords of a host.
func useHelper(path, host string) login.Edit {
	return login.Edit{
		Path: path, Mode: mode,
		Apply:  func(text []byte) ([]byte, error) { return jsonedit.Set(text, helperOf(host), helper) },
		Remove: func(text []byte) ([]byte, error) { return forget(text, host) },
	}
}

// useHelperIfStored is useHelper for a file that has a password for the host,
// which a client would find first. Any other file stays as it is, and so does
// one that does not exist.
func useHelperIfStored(path, host string) login.Edit {
	e := useHelper(path, host)
	always := e.Apply
	e.Apply = func(text []byte) ([]byte, error) {
		held, err := hasCredentials(text, host)
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

// hasCredentials reports whether a file has its own credentials for a host, or
// for a path below it.
func hasCredentials(text []byte, host string) (bool, error) {
	named, err := hosts(text)
	return slices.ContainsFunc(named, func(address string) bool { return authtoken.Host(address) == authtoken.Host(host) }), err
}

// hosts returns the addresses for which a file has passwords or helpers.
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

// addresses returns the addresses that the files name.
func addresses(read files) func(login.Environment, login.ReadFile) ([]string, error) {
	return func(p login.Environment, readFile login.ReadFile) ([]string, error) {
		return readFile.Addresses(hosts, read(p)...)
	}
}

// insecure reports whether the registry is reached without TLS.
func insecure(t login.Target) bool { return t.Endpoint.Scheme == "http" }

// plainHTTP returns the flag with which helm and oras use plain HTTP, if they
// need it.
func plainHTTP(t login.Target) string {
	if insecure(t) {
		return " --plain-http"
	}
	return ""
}
