package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func pip(tools string) *application {
	program := filepath.Join(tools, "python/bin/pip")
	return &application{
		name: "pip", what: "pip install of a data science set",
		inputs: map[string]string{"requirements.txt": "requirements.txt"},
		tool:   "pip", connection: "public:pypi",
		fetch: func(ctx context.Context, dir string) error {
			env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PIP_FIND_LINKS=") })
			if err := command(ctx, dir, env, program, "download", "--only-binary", ":all:", "-d", "wheels", "-r", "app/requirements.txt"); err != nil {
				return err
			}
			script, err := inputs.ReadFile("testdata/pages.py")
			if err != nil {
				return err
			}
			return command(ctx, dir, env, filepath.Join(tools, "python/bin/python"), "-c", string(script), "pages", "wheels")
		},
		publish: publishPyPI,
		configure: func(c *client, url string) error {
			return writeFile(filepath.Join(c.home, ".config/pip/pip.conf"), []byte("[global]\nindex-url = "+url+"\n"))
		},
		install: func(ctx context.Context, c *client, app string) (string, error) {
			installed := filepath.Join(app, "installed")
			// Compiling takes longer than all the rest, and has nothing to do with the registry.
			return installed, c.run(ctx, app, program, "install", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:", "--target", installed, "-r", "requirements.txt")
		},
		compared: func(name string) string { return name },
	}
}

// publishPyPI serves the pages of the projects, with the wheels and their metadata on the
// other host.
func publishPyPI(dir string, s *standIn) (string, error) {
	pages, err := filepath.Glob(filepath.Join(dir, "pages/*.json"))
	if err != nil {
		return "", err
	}
	for _, file := range pages {
		body, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var page struct {
			Files []struct{ Filename, URL string }
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return "", err
		}
		hosts := map[string]bool{}
		for _, f := range page.Files {
			u, err := url.Parse(f.URL)
			if err != nil {
				return "", err
			}
			hosts[u.Scheme+"://"+u.Host+"/"] = true
			for _, found := range []struct{ file, path string }{
				{filepath.Join(dir, "wheels", f.Filename), u.EscapedPath()},
				{filepath.Join(dir, "pages", f.Filename+".metadata"), u.EscapedPath() + ".metadata"},
			} {
				content, err := os.ReadFile(found.file)
				if err == nil {
					s.files.put(found.path, "application/octet-stream", content)
				} else if !errors.Is(err, fs.ErrNotExist) {
					return "", err
				}
			}
		}
		for host := range hosts {
			body = bytes.ReplaceAll(body, []byte(`"`+host), []byte(`"`+s.files.server.URL+"/"))
		}
		s.index.put("/simple/"+strings.TrimSuffix(filepath.Base(file), ".json")+"/", "application/vnd.pypi.simple.v1+json", body)
	}
	return s.index.server.URL + "/simple/", nil
}
