package main

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

func maven(tools string) *application {
	program := filepath.Join(tools, "maven-3.9.16/bin/mvn")
	arguments := func(repository string) []string {
		return []string{program, "--batch-mode", "--no-transfer-progress", "-Dmaven.repo.local=" + repository, "-DskipTests", "package"}
	}
	return &application{
		name: "maven", what: "mvn package of a Spring Boot application",
		inputs: map[string]string{"pom.xml": "pom.xml", "src/main/java/com/acme/Application.java": "Application.java"},
		tool:   "maven", connection: "public:maven-central",
		fetch: func(ctx context.Context, dir string) error {
			return command(ctx, filepath.Join(dir, "app"), os.Environ(), append(arguments(filepath.Join(dir, "m2")), machineSettings()...)...)
		},
		publish: publishMaven,
		configure: func(c *client, url string) error {
			return writeFile(filepath.Join(c.home, ".m2/settings.xml"), []byte("<settings><mirrors><mirror><id>up</id><mirrorOf>central</mirrorOf><url>"+url+"</url></mirror></mirrors></settings>\n"))
		},
		install: func(ctx context.Context, c *client, app string) (string, error) {
			c.env = append(c.env, "MAVEN_OPTS=-XX:TieredStopAtLevel=1 -Duser.home="+c.home)
			repository := filepath.Join(app, "repository")
			return repository, c.run(ctx, app, arguments(repository)...)
		},
		compared: func(name string) string {
			if ext := path.Ext(name); ext == ".pom" || ext == ".jar" {
				return name
			}
			return ""
		},
	}
}

// machineSettings are the arguments for the settings of the machine's own Maven.
func machineSettings() []string {
	program, err := exec.LookPath("mvn")
	if err != nil {
		return nil
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return nil
	}
	settings := filepath.Join(filepath.Dir(filepath.Dir(program)), "conf/settings.xml")
	if _, err := os.Stat(settings); err != nil {
		return nil
	}
	return []string{"--global-settings", settings}
}

// publishMaven serves the files of a local repository, each with its checksum files and
// with its hashes in headers.
func publishMaven(dir string, s *standIn) (string, error) {
	root := os.DirFS(filepath.Join(dir, "m2"))
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".pom", ".jar", ".xml", ".zip", ".module":
		default:
			return nil
		}
		// Indexes have the name of the repository in theirs.
		at, isIndex := "/maven2/"+name, strings.HasPrefix(path.Base(name), "maven-metadata-")
		if isIndex {
			at = "/maven2/" + path.Dir(name) + "/maven-metadata.xml"
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s1, m5 := sha1.Sum(body), md5.Sum(body)
		media := "application/java-archive"
		if strings.HasSuffix(at, ".xml") || strings.HasSuffix(at, ".pom") {
			media = "text/xml"
		}
		r := s.index.put(at, media, body)
		r.header.Set("X-Checksum-Sha1", hex.EncodeToString(s1[:]))
		r.header.Set("X-Checksum-Md5", hex.EncodeToString(m5[:]))
		s.index.put(at+".sha1", "text/plain", []byte(hex.EncodeToString(s1[:])))
		s.index.put(at+".md5", "text/plain", []byte(hex.EncodeToString(m5[:])))
		return nil
	})
	return s.index.server.URL + "/maven2/", err
}
