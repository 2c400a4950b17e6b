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
	swiftPackage  = "bench.sample"
	swiftVersions = 200
)

func swiftFormat() packageFormat {
	const path = "/bench/sample"
	return packageFormat{
		format: types.PackageFormatSwift, versions: swiftVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"swift releases, 200 versions, c=8", path, []string{"Accept", "application/vnd.swift.registry.v1+json"}, false},
			{"swift archive of 100 KiB, c=8", path + "/" + version(1) + ".zip", []string{"Accept", "application/vnd.swift.registry.v1+zip"}, true},
		},
		publishJob: "swift publish onto 200 versions",
		publication: func(_ string, n, size int) ([]packageRequest, error) {
			body, contentType, err := swiftPublication(n, size)
			return []packageRequest{{http.MethodPut, path + "/" + version(n), contentType, body, http.StatusCreated}}, err
		},
	}
}

// swiftPublication returns the form with which swift publishes the n-th version of
// [swiftPackage]. Its archive has about size bytes.
func swiftPublication(n, size int) (body []byte, contentType string, err error) {
	root := "bench.sample-" + version(n) + "/"
	manifest := fmt.Sprintf("// swift-tools-version:5.9\nimport PackageDescription\nlet package = Package(name: %q)\n", swiftPackage)
	archive, err := zipOf(zipped{root + "Package.swift", []byte(manifest)}, zipped{root + "Sources/data.bin", random(size).bytes})
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("source-archive", "archive.zip")
	if err != nil {
		return nil, "", err
	}
	_, err = part.Write(archive)
	err = errors.Join(err, form.WriteField("metadata", `{"description": "A package to measure a registry with"}`), form.Close())
	return b.Bytes(), form.FormDataContentType(), err
}
