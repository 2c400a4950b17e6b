package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	benchCrate    = "bench-crate"
	crateVersions = 200
)

func cargoFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatCargo, versions: crateVersions,
		downloads: []packageDownload{
			{"cargo index, 200 versions, c=8", "/be/nc/" + benchCrate, []string{"Accept-Encoding", "gzip"}, false},
			{"cargo download of 100 KiB, c=8", "/api/v1/crates/" + benchCrate + "/" + version(1) + "/download", nil, true},
		},
		publishJob: "cargo publish onto 200 versions",
		publication: func(_ string, n, size int) ([]packageRequest, error) {
			body, err := cargoPublication(n, size)
			return []packageRequest{{http.MethodPut, "/api/v1/crates/new", "", body, http.StatusOK}}, err
		},
	}
}

// cargoPublication returns the body of the request with which cargo publishes the n-th
// version of [benchCrate]. Its .crate has about size bytes.
func cargoPublication(n, size int) ([]byte, error) {
	crate, err := cargoCrate(n, size)
	if err != nil {
		return nil, err
	}
	var dependencies []object
	for _, name := range []string{"bench-one", "bench-two", "bench-three"} {
		dependencies = append(dependencies, object{"name": name, "version_req": "^1.2", "features": []string{"std"}, "optional": false, "default_features": true, "target": nil, "kind": "normal"})
	}
	metadata, err := json.Marshal(object{
		"name": benchCrate, "vers": version(n), "deps": dependencies, "features": object{"default": []string{"std"}, "std": []string{}},
		"authors": []string{}, "description": "A crate to measure a registry with", "license": "Apache-2.0", "keywords": []string{"bench"}, "rust_version": "1.74",
	})
	if err != nil {
		return nil, err
	}
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(metadata)))
	body = append(body, metadata...)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(crate)))
	return append(body, crate...), nil
}

// cargoCrate returns a .crate with its Cargo.toml and a file of random bytes, which do
// not compress.
func cargoCrate(n, size int) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	root := benchCrate + "-" + version(n) + "/"
	manifest := fmt.Sprintf("[package]\nname = %q\nversion = %q\nedition = \"2021\"\nrust-version = \"1.74\"\n", benchCrate, version(n))
	for _, file := range []struct {
		name string
		body []byte
	}{{"Cargo.toml", []byte(manifest)}, {"src/data.bin", random(size).bytes}} {
		if err := t.WriteHeader(&tar.Header{Name: root + file.name, Mode: 0o644, Size: int64(len(file.body))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(file.body); err != nil {
			return nil, err
		}
	}
	err := errors.Join(t.Close(), z.Close())
	return out.Bytes(), err
}
