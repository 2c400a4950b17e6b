package main

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	npmPackage  = "bench-package"
	npmVersions = 500

	// abbreviated is the Accept header of npm install.
	abbreviated = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
)

func npmFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatNpm, versions: npmVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"npm document, 500 versions, c=8", "/" + npmPackage, []string{"Accept", abbreviated, "Accept-Encoding", "gzip"}, false},
			{"npm document, whole, no gzip, c=8", "/" + npmPackage, []string{"Accept", "application/json"}, false},
			{"npm tarball of 100 KiB, c=8", "/" + npmPackage + "/-/" + tarballName(1), nil, true},
		},
		publishJob: "npm publish onto 500 versions",
		publication: func(url string, n, size int) ([]packageRequest, error) {
			body, err := npmPublication(url, n, size)
			return []packageRequest{npmPut(npmPackage, body)}, err
		},
	}
}

// npmPut is the request that publishes a version of a package.
func npmPut(name string, body []byte) packageRequest {
	return packageRequest{http.MethodPut, "/" + name, "application/json", body, http.StatusCreated}
}
