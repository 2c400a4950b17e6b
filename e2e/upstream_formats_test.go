package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// addCargo publishes the crate in a folder. Its dependencies are other crates of the
// upstream, each with a version alone. The index has members that no program knows.
func (u *upstream) addCargo(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "Cargo.toml"))
	if err != nil {
		return err
	}
	var manifest struct {
		Package      struct{ Name, Version string }
		Dependencies map[string]string
	}
	if err := toml.Unmarshal(text, &manifest); err != nil {
		return err
	}
	name, version := manifest.Package.Name, manifest.Package.Version
	crate, err := packCrate(dir, name+"-"+version)
	if err != nil {
		return err
	}
	u.putCrate(name, version, crate)
	deps := []map[string]any{}
	for dep, req := range manifest.Dependencies {
		deps = append(deps, map[string]any{
			"name": dep, "req": req, "features": []string{}, "optional": false, "default_features": true, "target": nil, "kind": "normal", "registry": nil,
		})
	}
	sum := sha256.Sum256(crate)
	line, err := json.Marshal(map[string]any{
		"name": name, "vers": version, "deps": deps, "cksum": hex.EncodeToString(sum[:]), "features": map[string]any{}, "yanked": false,
		"pubtime": u.published.Format(time.RFC3339), "of_the_future": []int{1},
	})
	if err == nil {
		u.addLine(name, string(line))
	}
	return err
}

// putCrate puts a .crate where the config.json of the index says.
func (u *upstream) putCrate(name, version string, crate []byte) {
	u.put("/index/config.json", "application/json", []byte(`{"dl":"`+u.server.URL+`/crates","api":"`+u.server.URL+`"}`))
	u.put("/crates/"+name+"/"+version+"/download", "application/gzip", crate)
}

// addCrates publishes the crates of a folder with their lines of the index.
func (u *upstream) addCrates(dir string) error {
	return eachFile(dir, func(file string, text []byte) error {
		if !strings.HasSuffix(file, ".crate.json") {
			return nil
		}
		var line struct{ Name, Vers string }
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		crate, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(file, ".json")))
		if err == nil {
			u.putCrate(line.Name, line.Vers, crate)
			u.addLine(line.Name, string(text))
		}
		return err
	})
}

// addLine adds a line to the index of a crate.
func (u *upstream) addLine(name, line string) {
	path := crateIndexPath(name)
	u.mu.Lock()
	old := u.files[path].body
	u.mu.Unlock()
	u.put(path, "text/plain", append(slices.Clone(old), line+"\n"...))
}

// crateIndexPath is the path of the index of a crate.
func crateIndexPath(name string) string {
	name = strings.ToLower(name)
	switch len(name) {
	case 1, 2:
		return fmt.Sprintf("/index/%d/%s", len(name), name)
	case 3:
		return "/index/3/" + name[:1] + "/" + name
	}
	return "/index/" + name[:2] + "/" + name[2:4] + "/" + name
}

func (u *upstream) yank(name string) {
	path := crateIndexPath(name)
	u.mu.Lock()
	old := u.files[path].body
	u.mu.Unlock()
	u.put(path, "text/plain", bytes.ReplaceAll(old, []byte(`"yanked":false`), []byte(`"yanked":true`)))
}

// packCrate packs a folder as cargo package does.
func packCrate(dir, root string) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	err := eachFile(dir, func(name string, content []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: root + "/" + name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := t.Write(content)
		return err
	})
	err = errors.Join(err, t.Close(), z.Close())
	return out.Bytes(), err
}

// eachFile calls a function with every file below a folder.
func eachFile(dir string, do func(name string, content []byte) error) error {
	root := os.DirFS(dir)
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return do(name, content)
	})
}

// addMaven publishes the pom.xml of a folder, and a jar of the other files unless the POM
// is all. Each file has its .sha1, and the artifact its index.
func (u *upstream) addMaven(dir string) error {
	pom, err := os.ReadFile(filepath.Join(dir, "pom.xml"))
	if err != nil {
		return err
	}
	var project struct {
		Group     string `xml:"groupId"`
		Artifact  string `xml:"artifactId"`
		Version   string `xml:"version"`
		Packaging string `xml:"packaging"`
	}
	if err := xml.Unmarshal(pom, &project); err != nil {
		return err
	}
	at := "/maven2/" + strings.ReplaceAll(project.Group, ".", "/") + "/" + project.Artifact + "/"
	file := at + project.Version + "/" + project.Artifact + "-" + project.Version
	u.putChecked(file+".pom", "text/xml", pom)
	if project.Packaging != "pom" {
		jar, err := packJar(dir)
		if err != nil {
			return err
		}
		u.putChecked(file+".jar", "application/java-archive", jar)
	}
	doc := u.docs["maven:"+at]
	if doc == nil {
		doc = map[string]any{"versions": []string{}}
		u.docs["maven:"+at] = doc
	}
	versions := append(doc["versions"].([]string), project.Version)
	doc["versions"] = versions
	u.putChecked(at+"maven-metadata.xml", "text/xml", fmt.Appendf(nil,
		"<metadata><groupId>%s</groupId><artifactId>%s</artifactId><versioning><release>%s</release><versions><version>%s</version></versions><lastUpdated>%s</lastUpdated></versioning></metadata>",
		project.Group, project.Artifact, project.Version, strings.Join(versions, "</version><version>"), u.published.Format("20060102150405")))
	return nil
}

// addArtifacts publishes the files of a local repository, each with its .sha1.
func (u *upstream) addArtifacts(dir string) error {
	return eachFile(dir, func(name string, content []byte) error {
		switch path.Ext(name) {
		case ".pom", ".jar", ".xml", ".zip", ".module":
			if !strings.HasPrefix(path.Base(name), "maven-metadata") && !strings.HasPrefix(name, ".") {
				u.putChecked("/maven2/"+name, "application/octet-stream", content)
			}
		}
		return nil
	})
}

// putChecked puts a file with its .sha1.
func (u *upstream) putChecked(path, mediaType string, body []byte) {
	sum := sha1.Sum(body)
	u.put(path, mediaType, body)
	u.put(path+".sha1", "text/plain", []byte(hex.EncodeToString(sum[:])))
}

// packJar packs the files of a folder but its pom.xml.
func packJar(dir string) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	err := eachFile(dir, func(name string, content []byte) error {
		if name == "pom.xml" {
			return nil
		}
		w, err := z.Create(name)
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	err = errors.Join(err, z.Close())
	return out.Bytes(), err
}
