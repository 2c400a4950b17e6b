package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
)

func npmKey(name, version string) string { return "npm/" + name + "@" + version }
func npmTagKey(name, tag string) string  { return "npm-tag/" + name + "#" + tag }

// changeNPM publishes a version, or sets a dist-tag, or deletes a package.
func (c *client) changeNPM() error {
	switch c.rand.IntN(6) {
	case 0:
		return c.setDistTag()
	case 1:
		return c.publishAndDelete()
	}
	return c.publish([]string{"left", "@acme/right"}[c.rand.IntN(2)])
}

func (c *client) publish(name string) error {
	version := c.version()
	body, integrity := npmDocument(name, version, content(c.rand))
	return c.write(change{npmKey(name, version): integrity, npmTagKey(name, "latest"): version}, func() error {
		_, err := c.do(c.pkg("PUT", "npm", url.PathEscape(name)).with("Content-Type", "application/json").sends(body), http.StatusCreated)
		return err
	})
}

// npmDocument returns the request body of npm publish.
func npmDocument(name, version string, tarball []byte) (body []byte, integrity string) {
	sum := sha512.Sum512(tarball)
	integrity = "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	file := name + "-" + version + ".tgz"
	body, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": version},
		"versions":     map[string]any{version: map[string]any{"name": name, "version": version, "dist": map[string]string{"integrity": integrity}}},
		"_attachments": map[string]any{file: map[string]any{"content_type": "application/octet-stream", "data": tarball, "length": len(tarball)}},
	})
	if err != nil {
		panic(err) // cannot happen: only strings and numbers
	}
	return body, integrity
}

func (c *client) setDistTag() error {
	versions := c.ledger.keys(func(key, _ string) bool { return strings.HasPrefix(key, npmKey("left", "")) })
	if len(versions) == 0 {
		return nil
	}
	version := strings.TrimPrefix(versions[c.rand.IntN(len(versions))], npmKey("left", ""))
	return c.write(change{npmTagKey("left", "beta"): version}, func() error {
		_, err := c.do(c.pkg("PUT", "npm", "-/package/left/dist-tags/beta").sends([]byte(`"`+version+`"`)), http.StatusCreated)
		return err
	})
}

func (c *client) publishAndDelete() error {
	name := c.next()
	if err := c.publish(name); err != nil {
		return err
	}
	gone := change{npmTagKey(name, "latest"): ""}
	for _, key := range c.ledger.keys(func(key, _ string) bool { return strings.HasPrefix(key, npmKey(name, "")) }) {
		gone[key] = ""
	}
	return c.write(gone, func() error {
		_, err := codeartifact.NewFromConfig(c.aws).DeletePackage(c.ctx, &codeartifact.DeletePackageInput{Domain: aws.String(domain), Repository: aws.String(libRepository), Format: "npm", Package: &name})
		return err
	})
}

// uploadWheel publishes a wheel as twine does.
func (c *client) uploadWheel() error {
	project, version := []string{"spam", "eggs"}[c.rand.IntN(2)], c.version()
	file, whl := makeWheel(project, version, content(c.rand))
	body, contentType := uploadForm(project, version, file, whl)
	return c.write(change{"pypi/" + file: hexSum(whl)}, func() error {
		_, err := c.do(c.pkg("POST", "pypi", "").with("Content-Type", contentType).sends(body), http.StatusOK)
		return err
	})
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func makeWheel(project, version string, data []byte) (file string, whl []byte) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := project + "-" + version + ".dist-info/"
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{project + ".bin", data},
		{info + "METADATA", fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", project, version)},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(f.content)
		}
		if err != nil {
			panic(err) // cannot happen: writes to memory
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return project + "-" + version + "-py3-none-any.whl", b.Bytes()
}

func uploadForm(project, version, file string, whl []byte) (body []byte, contentType string) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, field := range [][2]string{
		{":action", "file_upload"},
		{"protocol_version", "1"},
		{"metadata_version", "2.1"},
		{"filetype", "bdist_wheel"},
		{"pyversion", "py3"},
		{"name", project},
		{"version", version},
		{"sha256_digest", hexSum(whl)},
	} {
		if err := form.WriteField(field[0], field[1]); err != nil {
			panic(err)
		}
	}
	w, err := form.CreateFormFile("content", file)
	if err == nil {
		_, err = w.Write(whl)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes(), form.FormDataContentType()
}
