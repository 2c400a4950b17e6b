package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func cargo() *application {
	return &application{
		name: "cargo", what: "cargo fetch of a workspace",
		inputs: map[string]string{"Cargo.toml": "workspace.toml", "server/Cargo.toml": "server.toml", "server/src/lib.rs": "lib.rs", "tool/Cargo.toml": "tool.toml", "tool/src/lib.rs": "lib.rs"},
		tool:   "cargo", connection: "public:crates-io",
		fetch: func(ctx context.Context, dir string) error {
			return command(ctx, filepath.Join(dir, "app"), append(os.Environ(), "CARGO_HOME="+filepath.Join(dir, "home")), "cargo", "fetch")
		},
		publish: publishCargo,
		configure: func(c *client, url string) error {
			return writeFile(filepath.Join(c.home, ".cargo/config.toml"), []byte("[source.crates-io]\nreplace-with = \"up\"\n[source.up]\nregistry = \"sparse+"+url+"\"\n"))
		},
		install: func(ctx context.Context, c *client, app string) (string, error) {
			return filepath.Join(c.home, ".cargo/registry/src"), c.run(ctx, app, "cargo", "fetch")
		},
		compared: func(name string) string {
			_, name, _ = strings.Cut(name, "/") // the first folder has the name of the registry
			return name
		},
	}
}

// publishCargo serves the crates of the lock file, and the files of the index as they are in
// cargo's cache. Crates lie on another host than the index.
func publishCargo(dir string, s *standIn) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "app/Cargo.lock"))
	if err != nil {
		return "", err
	}
	var lock struct {
		Package []struct{ Name, Version, Source string }
	}
	if err := toml.Unmarshal(text, &lock); err != nil {
		return "", err
	}
	for _, p := range lock.Package {
		if p.Source == "" {
			continue
		}
		crate, err := readOne(filepath.Join(dir, "home/registry/cache/*", p.Name+"-"+p.Version+".crate"))
		if err != nil {
			return "", err
		}
		s.files.put("/crates/"+p.Name+"/"+p.Version+"/download", "application/gzip", crate)
	}
	// The cache has a crate more than the lock file if cargo looked at it and took another.
	cached, err := filepath.Glob(filepath.Join(dir, "home/registry/index/*/.cache"))
	if err != nil || len(cached) != 1 {
		return "", errors.Join(err, fmt.Errorf("%d indexes in cargo's cache, not one", len(cached)))
	}
	files, err := filepath.Glob(cached[0] + "/*/*")
	if err != nil {
		return "", err
	}
	deeper, err := filepath.Glob(cached[0] + "/*/*/*")
	if err != nil {
		return "", err
	}
	for _, file := range append(files, deeper...) {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		lines, err := indexLines(file)
		if err != nil {
			return "", err
		}
		s.index.put("/index/"+filepath.ToSlash(strings.TrimPrefix(file, cached[0]+"/")), "text/plain", lines)
	}
	s.index.put("/index/config.json", "application/json", []byte(`{"dl":"`+s.files.server.URL+`/crates","api":"`+s.index.server.URL+`"}`))
	return s.index.server.URL + "/index/", nil
}

// indexLines returns the file of the index that cargo has in a file of its cache: lines of
// JSON, each after its version, and all ended by a zero.
func indexLines(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for part := range bytes.SplitSeq(text, []byte{0}) {
		if bytes.HasPrefix(part, []byte("{")) && json.Valid(part) {
			out.Write(part)
			out.WriteByte('\n')
		}
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("%s has no lines", file)
	}
	return out.Bytes(), nil
}

// readOne reads the only file of a pattern.
func readOne(pattern string) ([]byte, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s: %d files, not one", pattern, len(found))
	}
	return os.ReadFile(found[0])
}
