package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shortDocument is the media type of npm's abbreviated documents.
const shortDocument = "application/vnd.npm.install-v1+json"

func npm(tools string) *application {
	program := filepath.Join(tools, "npm/npm/node_modules/.bin/npm")
	flags := []string{"--ignore-scripts", "--no-audit", "--no-fund"}
	return &application{
		name: "npm", what: "npm install of a React application",
		inputs: map[string]string{"package.json": "package.json"},
		tool:   "npm", connection: "public:npmjs",
		fetch: func(ctx context.Context, dir string) error {
			app := filepath.Join(dir, "app")
			// With a date npm asks for full documents, which Gatehouse needs. It does not keep both
			// forms in one cache.
			full := append([]string{program, "install", "--package-lock-only", "--before", "2100-01-01", "--cache", filepath.Join(dir, "full")}, flags...)
			if err := command(ctx, app, os.Environ(), full...); err != nil {
				return err
			}
			for _, made := range []string{"package-lock.json", "node_modules"} {
				if err := os.RemoveAll(filepath.Join(app, made)); err != nil {
					return err
				}
			}
			// What an interrupted installation has installed and not put into the cache is
			// fetched by the second command.
			for _, install := range []string{"install", "ci"} {
				if err := command(ctx, app, os.Environ(), append([]string{program, install, "--prefer-offline", "--cache", filepath.Join(dir, "short")}, flags...)...); err != nil {
					return err
				}
			}
			return nil
		},
		publish: publishNPM,
		configure: func(c *client, url string) error {
			return writeFile(filepath.Join(c.home, ".npmrc"), []byte("registry="+url+"\n"))
		},
		install: func(ctx context.Context, c *client, app string) (string, error) {
			return filepath.Join(app, "node_modules"), c.run(ctx, app, append([]string{program, "install"}, flags...)...)
		},
		compared: func(name string) string {
			if name == ".package-lock.json" { // it has the addresses of the registry
				return ""
			}
			return name
		},
	}
}

// publishNPM serves what npm has in its caches.
func publishNPM(dir string, s *standIn) (string, error) {
	short, err := readCache(filepath.Join(dir, "short"))
	if err != nil {
		return "", err
	}
	full, err := readCache(filepath.Join(dir, "full"))
	if err != nil {
		return "", err
	}
	base := ""
	for address := range short {
		if strings.HasSuffix(address, "/react") {
			base = strings.TrimSuffix(address, "react")
		}
	}
	if base == "" {
		return "", errors.New("the cache of npm does not have the document of react")
	}
	here := s.index.server.URL + "/"
	move := func(body []byte) []byte { return bytes.ReplaceAll(body, []byte(base), []byte(here)) }
	for address, body := range short {
		path, ok := strings.CutPrefix(address, base)
		switch {
		case !ok:
			return "", fmt.Errorf("%s is not below %s", address, base)
		case strings.HasSuffix(path, ".tgz"):
			s.index.put("/"+path, "application/octet-stream", body)
			continue
		case full[address] == nil:
			return "", fmt.Errorf("%s was not fetched in full", address)
		}
		// Clients write the slash of a scope as %2f, but for a few, which do not.
		for _, path := range []string{path, strings.Replace(path, "%2f", "/", 1)} {
			s.index.put("/"+path, "application/json", move(full[address])).short = s.index.put("/"+path+"#short", shortDocument, move(body))
		}
	}
	return here, nil
}

// readCache returns the bodies in a cache of npm by their addresses. The format is the one of
// npm's package cacache, version 5 of the index and 2 of the content.
func readCache(dir string) (map[string][]byte, error) {
	bodies := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, "_cacache/index-v5"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			_, entry, ok := strings.Cut(strings.TrimSpace(line), "\t")
			if !ok {
				continue
			}
			var e struct{ Key, Integrity string }
			if err := json.Unmarshal([]byte(entry), &e); err != nil {
				return err
			}
			_, address, ok := strings.Cut(e.Key, "request-cache:")
			algorithm, sum, isSum := strings.Cut(e.Integrity, "-")
			if !ok || !isSum {
				continue
			}
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return err
			}
			name := hex.EncodeToString(raw)
			if bodies[address], err = os.ReadFile(filepath.Join(dir, "_cacache/content-v2", algorithm, name[:2], name[2:4], name[4:])); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(bodies) == 0 {
		err = errors.New("the cache of npm is empty")
	}
	return bodies, err
}
