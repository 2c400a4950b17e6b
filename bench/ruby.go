package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	rubyGem      = "bench-gem"
	rubyVersions = 200
)

func rubyFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatRuby, versions: rubyVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"ruby info, 200 versions, c=8", "/info/" + rubyGem, []string{"Accept-Encoding", "gzip"}, false},
			{"ruby gem of 100 KiB, c=8", "/gems/" + rubyGem + "-" + version(1) + ".gem", nil, true},
		},
		publishJob:  "ruby push onto 200 versions",
		publication: rubyPublication,
	}
}

func rubyPublication(_ string, n, size int) ([]packageRequest, error) {
	specification := fmt.Sprintf("--- !ruby/object:Gem::Specification\nname: %s\nversion: !ruby/object:Gem::Version\n  version: %s\nsummary: A gem to measure a registry with\nauthors: [A. N. Author]\n", rubyGem, version(n))
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		body []byte
	}{{"metadata.gz", []byte(specification)}, {"data.tar.gz", random(size).bytes}} {
		packed, err := gzipped(f.body)
		if err != nil {
			return nil, err
		}
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: 0o444, Size: int64(len(packed))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(packed); err != nil {
			return nil, err
		}
	}
	err := t.Close()
	return []packageRequest{{http.MethodPost, "/api/v1/gems", "application/octet-stream", b.Bytes(), http.StatusOK}}, err
}

func gzipped(content []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(content)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}
