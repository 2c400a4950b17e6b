package main

import (
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

const (
	mavenFolder   = "/com/example/bench"
	mavenVersions = 500
)

// mavenFormat measures, as the publication, the PUT of a jar alone: what follows it, the
// POM and the index, is not measured.
func mavenFormat() packageFormat {
	return packageFormat{
		format: types.PackageFormatMaven, versions: mavenVersions, scheme: "Bearer ",
		downloads: []packageDownload{
			{"maven metadata, 500 versions, c=8", mavenFolder + "/maven-metadata.xml", []string{"Accept-Encoding", "gzip"}, false},
			{"maven jar of 100 KiB, c=8", mavenFile(1, ".jar"), nil, true},
		},
		publishJob:  "maven PUT of a jar onto 500 versions",
		publication: mavenPublication,
	}
}

func mavenFile(version int, suffix string) string {
	return fmt.Sprintf("%s/1.%d/bench-1.%d%s", mavenFolder, version, version, suffix)
}

func mavenPublication(_ string, n, size int) ([]packageRequest, error) {
	pom := fmt.Sprintf("<project><groupId>com.example</groupId><artifactId>bench</artifactId><version>1.%d</version></project>", n)
	index := fmt.Sprintf("<metadata><versioning><versions><version>1.%d</version></versions></versioning></metadata>", n)
	put := func(path string, body []byte) packageRequest {
		return packageRequest{http.MethodPut, path, "", body, http.StatusCreated}
	}
	return []packageRequest{
		put(mavenFile(n, ".jar"), random(size).bytes),
		put(mavenFile(n, ".pom"), []byte(pom)),
		put(mavenFolder+"/maven-metadata.xml", []byte(index)),
	}, nil
}
