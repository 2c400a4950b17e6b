package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	nugetPackage  = "bench.package"
	nugetVersions = 200
)

func nugetFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatNuget, versions: nugetVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"nuget registration, 200 versions, c=8", "/v3/registration-semver2/" + nugetPackage + "/index.json", []string{"Accept-Encoding", "gzip"}, false},
			{"nuget package of 100 KiB, c=8", "/v3/flatcontainer/" + nugetPackage + "/" + version(1) + "/" + nugetPackage + "." + version(1) + ".nupkg", nil, true},
		},
		publishJob:  "nuget push onto 200 versions",
		publication: nugetPublication,
	}
}

func nugetPublication(_ string, n, size int) ([]packageRequest, error) {
	manifest := fmt.Sprintf(`<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"><metadata><id>%s</id><version>%s</version><authors>A. N. Author</authors><description>A package to measure a registry with</description></metadata></package>`, nugetPackage, version(n))
	file, err := zipOf(zipped{nugetPackage + ".nuspec", []byte(manifest)}, zipped{"lib/data.bin", random(size).bytes})
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("package", "package.nupkg")
	if err != nil {
		return nil, err
	}
	_, err = part.Write(file)
	err = errors.Join(err, form.Close())
	return []packageRequest{{http.MethodPut, "/v3/package/", form.FormDataContentType(), body.Bytes(), http.StatusCreated}}, err
}

// A zipped file is a file of a zip.
type zipped struct {
	name string
	body []byte
}

func zipOf(files ...zipped) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}
