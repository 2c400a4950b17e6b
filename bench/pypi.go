package main

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	pypiProject  = "bench-project"
	pypiVersions = 200

	// simpleJSON is the Accept header of pip and uv.
	simpleJSON = "application/vnd.pypi.simple.v1+json"
)

func pypiFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatPypi, versions: pypiVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"pypi project page, 200 versions, c=8", "/simple/" + pypiProject + "/", []string{"Accept", simpleJSON, "Accept-Encoding", "gzip"}, false},
			{"pypi wheel of 100 KiB, c=8", "/simple/" + pypiProject + "/" + version(1) + "/" + wheelName(1), nil, true},
		},
		publishJob:  "pypi upload onto 200 versions",
		publication: pypiPublication,
	}
}

func wheelName(n int) string { return "bench_project-" + version(n) + "-py3-none-any.whl" }

func pypiPublication(_ string, n, size int) ([]packageRequest, error) {
	metadata := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: A project to measure a registry with\n", pypiProject, version(n))
	file, err := zipOf(zipped{"bench_project-" + version(n) + ".dist-info/METADATA", []byte(metadata)}, zipped{"bench_project/data.bin", random(size).bytes})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, field := range [][2]string{
		{":action", "file_upload"},
		{"protocol_version", "1"},
		{"metadata_version", "2.1"},
		{"name", pypiProject},
		{"version", version(n)},
		{"filetype", "bdist_wheel"},
		{"pyversion", "py3"},
	} {
		if err := form.WriteField(field[0], field[1]); err != nil {
			return nil, err
		}
	}
	part, err := form.CreateFormFile("content", wheelName(n))
	if err != nil {
		return nil, err
	}
	_, err = part.Write(file)
	err = errors.Join(err, form.Close())
	return []packageRequest{{http.MethodPost, "/", form.FormDataContentType(), body.Bytes(), http.StatusOK}}, err
}
