package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object.
type object = map[string]any

func version(n int) string     { return fmt.Sprintf("1.0.%d", n) }
func tarballName(n int) string { return tarballNameOf(npmPackage, n) }

func tarballNameOf(name string, n int) string { return name + "-" + version(n) + ".tgz" }

// npmPublication returns the body of the request with which npm publishes the n-th
// version of [npmPackage]. Its tarball has about size bytes.
func npmPublication(registry string, n, size int) ([]byte, error) {
	return npmPublicationOf(npmPackage, registry, n, size)
}

// npmPublicationOf is npmPublication for any package.
func npmPublicationOf(name, registry string, n, size int) ([]byte, error) {
	tarball, err := npmTarball(name, n, size)
	if err != nil {
		return nil, err
	}
	sum1, sum512 := sha1.Sum(tarball), sha512.Sum512(tarball)
	manifest := npmManifest(name, n)
	manifest["_id"] = name + "@" + version(n)
	manifest["_nodeVersion"] = "22.20.0"
	manifest["_npmVersion"] = "11.6.2"
	manifest["dist"] = object{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]),
		"shasum":    hex.EncodeToString(sum1[:]),
		"tarball":   registry + "/" + name + "/-/" + tarballNameOf(name, n),
	}
	return json.Marshal(object{
		"_id": name, "name": name, "description": manifest["description"],
		"dist-tags": object{"latest": version(n)},
		"versions":  object{version(n): manifest},
		"access":    nil,
		"_attachments": object{tarballNameOf(name, n): object{
			"content_type": "application/octet-stream", "data": tarball, "length": len(tarball),
		}},
	})
}

// npmManifest returns a package.json of typical length.
func npmManifest(name string, n int) object {
	return object{
		"name": name, "version": version(n), "description": "A package to measure a registry with",
		"main": "index.js", "license": "Apache-2.0", "keywords": []string{"bench", "registry", "measure"},
		"author":       object{"name": "A. N. Author", "email": "author@registry.example"},
		"repository":   object{"type": "git", "url": "git+https://registry.example/bench.git"},
		"homepage":     "https://registry.example/bench#readme",
		"bugs":         object{"url": "https://registry.example/bench/issues"},
		"engines":      object{"node": ">=18"},
		"scripts":      object{"test": "node --test", "lint": "eslint ."},
		"dependencies": object{"bench-one": "^1.2.0", "bench-two": "~2.1.0", "bench-three": ">=3"},
	}
}

// npmTarball returns a tarball with the package.json and a file of random bytes,
// which do not compress.
func npmTarball(name string, n, size int) ([]byte, error) {
	manifest, err := json.Marshal(npmManifest(name, n))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for _, file := range []struct {
		name string
		body []byte
	}{{"package/package.json", manifest}, {"package/data.bin", random(size).bytes}} {
		if err := t.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.body))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(file.body); err != nil {
			return nil, err
		}
	}
	err = errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}
