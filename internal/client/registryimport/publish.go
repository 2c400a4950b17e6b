package registryimport

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/client/mirror"
	"github.com/gatehouse-registry/gatehouse/internal/client/packagerepo"
)

// maxMessage bounds what is read of an answer that is an error.
const maxMessage = 4 << 10

// publish publishes a version to the staging repository as the clients of its format do.
func (f *Foreign) publish(ctx context.Context, v *foreignVersion) error {
	if v.pkg.Format == "generic" {
		return f.publishGeneric(ctx, v)
	}
	to, err := f.StagingEndpoints(ctx, v.pkg.Format)
	if err != nil {
		return err
	}
	publish := map[string]func(context.Context, *mirror.Endpoint, *foreignVersion) error{
		"npm": publishNPM, "pypi": publishPyPI, "maven": publishMaven, "nuget": publishNuGet, "cargo": publishCargo, "ruby": publishRuby, "swift": publishSwift,
	}[v.pkg.Format]
	if publish == nil {
		return fmt.Errorf("packages of the format %q cannot be imported", v.pkg.Format)
	}
	return publish(ctx, to, v)
}

// A body writes the body of a request.
type body struct {
	contentType string
	write       func(io.Writer) error
}

// send sends a publication. Other statuses than 2xx are errors.
func send(ctx context.Context, to *mirror.Endpoint, method, path string, b body) error {
	u, err := to.Resolve("./" + path)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(b.write(w)) }()
	request, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return err
	}
	token, err := to.Token(ctx)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", token.BasicAuthorization())
	request.Header.Set("Content-Type", b.contentType)
	request.Header.Set("Accept", "application/vnd.swift.registry.v1+json, application/json, */*")
	res, err := to.Client.Do(request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxMessage))
	return fmt.Errorf("%s %s answered %d: %s", method, u.Redacted(), res.StatusCode, strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " "))
}

// file is a body that is a file of the version.
func (v *foreignVersion) file(name, contentType string) body {
	return body{contentType, func(w io.Writer) error { return v.copy(w, name) }}
}

func (v *foreignVersion) copy(w io.Writer, name string) error {
	content, _, err := v.open(name)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(w, content)
	return err
}

// only returns the one file with the suffix.
func (v *foreignVersion) only(suffix string) (string, error) {
	found := ""
	for i := range v.assets {
		if !strings.HasSuffix(v.assets[i].Name, suffix) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("the version has several files %s", suffix)
		}
		found = v.assets[i].Name
	}
	if found == "" {
		return "", fmt.Errorf("the version has no file %s", suffix)
	}
	return found, nil
}

// form is a multipart form with fields and one file.
func (v *foreignVersion) form(fields [][2]string, field, fileName, asset string) body {
	boundary := multipart.NewWriter(io.Discard).Boundary()
	return body{"multipart/form-data; boundary=" + boundary, func(out io.Writer) error {
		w := multipart.NewWriter(out)
		if err := w.SetBoundary(boundary); err != nil {
			return err
		}
		for _, f := range fields {
			if err := w.WriteField(f[0], f[1]); err != nil {
				return err
			}
		}
		disposition := fmt.Sprintf("form-data; name=%q", field)
		if fileName != "" {
			disposition += fmt.Sprintf("; filename=%q", fileName)
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {"application/octet-stream"}})
		if err == nil {
			err = v.copy(part, asset)
		}
		if err == nil {
			err = w.Close()
		}
		return err
	}}
}

// publishNPM sends the version's object of the source's document, with the tarball.
func publishNPM(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	name := v.pkg.Name
	if v.pkg.Namespace != "" {
		name = "@" + v.pkg.Namespace + "/" + name
	}
	u, err := v.source.Resolve("./" + url.PathEscape(name))
	if err != nil {
		return err
	}
	var document struct {
		Tags     map[string]string          `json:"dist-tags"`
		Versions map[string]json.RawMessage `json:"versions"`
		Readme   json.RawMessage            `json:"readme"`
	}
	if err := v.source.Document(ctx, u, "", &document); err != nil {
		return err
	}
	manifest := document.Versions[v.at.Version]
	if manifest == nil { // an Unlisted or Archived version is not in the document
		if manifest, err = v.packageJSON(); err != nil {
			return err
		}
	}
	tags := map[string]string{}
	for tag, version := range document.Tags {
		if version == v.at.Version {
			tags[tag] = version
			v.tags = append(v.tags, tag)
		}
	}
	slices.Sort(v.tags)
	sent := map[string]any{"_id": name, "name": name, "dist-tags": tags, "versions": map[string]any{v.at.Version: manifest}}
	if document.Readme != nil {
		sent["readme"] = document.Readme
	}
	about, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	content, size, err := v.open("package.tgz")
	if err != nil {
		return err
	}
	content.Close()
	attachment := fmt.Sprintf(`,"_attachments":{%q:{"content_type":"application/octet-stream","length":%d,"data":"`, name+"-"+v.at.Version+".tgz", size)
	return send(ctx, to, http.MethodPut, url.PathEscape(name), body{"application/json", func(w io.Writer) error {
		if _, err := w.Write(append(about[:len(about)-1:len(about)-1], attachment...)); err != nil {
			return err
		}
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		err := v.copy(encoder, "package.tgz")
		if err == nil {
			err = encoder.Close()
		}
		if err == nil {
			_, err = io.WriteString(w, `"}}}`)
		}
		return err
	}})
}

func publishPyPI(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	for i := range v.assets {
		name := v.assets[i].Name
		if strings.HasSuffix(name, ".metadata") { // the destination makes it from the wheel
			continue
		}
		kind, python := "sdist", "source"
		if strings.HasSuffix(name, ".whl") {
			kind, python = "bdist_wheel", "py3"
		}
		fields := [][2]string{
			{":action", "file_upload"},
			{"protocol_version", "1"},
			{"metadata_version", "2.1"},
			{"name", v.pkg.Name},
			{"version", v.at.Version},
			{"filetype", kind},
			{"pyversion", python},
			{"summary", aws.ToString(v.about.Summary)},
			{"home_page", aws.ToString(v.about.HomePage)},
		}
		if err := send(ctx, to, http.MethodPost, "", v.form(fields, "content", name, name)); err != nil {
			return err
		}
	}
	return nil
}

func publishMaven(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	parts := append(strings.Split(v.pkg.Namespace, "."), v.pkg.Name, v.at.Version)
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	for i := range v.assets {
		name := v.assets[i].Name
		if err := send(ctx, to, http.MethodPut, strings.Join(parts, "/")+"/"+url.PathEscape(name), v.file(name, "application/octet-stream")); err != nil {
			return err
		}
	}
	return nil
}

func publishNuGet(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	name, err := v.only(".nupkg")
	if err != nil {
		return err
	}
	return send(ctx, to, http.MethodPut, "v3/package", v.form(nil, "package", "package.nupkg", name))
}

func publishRuby(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	for i := range v.assets {
		if name := v.assets[i].Name; strings.HasSuffix(name, ".gem") {
			if err := send(ctx, to, http.MethodPost, "api/v1/gems", v.file(name, "application/octet-stream")); err != nil {
				return err
			}
		}
	}
	return nil
}

func publishSwift(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	name, err := v.only(".zip")
	if err != nil {
		return err
	}
	path := url.PathEscape(v.pkg.Namespace) + "/" + url.PathEscape(v.pkg.Name) + "/" + url.PathEscape(v.at.Version)
	u, err := v.source.Resolve("./" + path)
	if err != nil {
		return err
	}
	var release struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := v.source.Document(ctx, u, "application/vnd.swift.registry.v1+json", &release); err != nil {
		return err
	}
	if len(release.Metadata) == 0 {
		release.Metadata = json.RawMessage("{}")
	}
	return send(ctx, to, http.MethodPut, path, v.form([][2]string{{"metadata", string(release.Metadata)}}, "source-archive", "", name))
}

// A crateLine is a line of a sparse index (The Cargo Book, "Index Format").
type crateLine struct {
	Name         string `json:"name"`
	Version      string `json:"vers"`
	Dependencies []struct {
		Name            string   `json:"name"`
		Requirement     string   `json:"req"`
		Features        []string `json:"features"`
		Optional        bool     `json:"optional"`
		DefaultFeatures bool     `json:"default_features"`
		Target          *string  `json:"target"`
		Kind            string   `json:"kind"`
		Registry        *string  `json:"registry"`
		Package         *string  `json:"package"`
	} `json:"deps"`
	Features    map[string][]string `json:"features"`
	Features2   map[string][]string `json:"features2"`
	Links       *string             `json:"links"`
	RustVersion *string             `json:"rust_version"`
}

// publication is the line as cargo publishes it (The Cargo Book, "Registry Web API").
func (l *crateLine) publication(about *types.PackageVersionDescription) map[string]any {
	dependencies := []any{}
	for _, d := range l.Dependencies {
		sent := map[string]any{
			"name": d.Name, "version_req": d.Requirement, "features": append([]string{}, d.Features...), "optional": d.Optional,
			"default_features": d.DefaultFeatures, "target": d.Target, "kind": d.Kind, "registry": d.Registry,
		}
		if d.Package != nil {
			sent["name"], sent["explicit_name_in_toml"] = *d.Package, d.Name
		}
		dependencies = append(dependencies, sent)
	}
	features := map[string][]string{}
	for _, some := range []map[string][]string{l.Features, l.Features2} {
		for name, enables := range some {
			features[name] = append([]string{}, enables...)
		}
	}
	licenses := make([]string, 0, 1)
	for _, license := range about.Licenses {
		licenses = append(licenses, aws.ToString(license.Name))
	}
	return map[string]any{
		"name": l.Name, "vers": l.Version, "deps": dependencies, "features": features, "authors": []string{}, "keywords": []string{}, "categories": []string{},
		"description": aws.ToString(about.Summary), "homepage": aws.ToString(about.HomePage), "repository": aws.ToString(about.SourceCodeRepository),
		"license": strings.Join(licenses, " OR "), "links": l.Links, "rust_version": l.RustVersion,
	}
}

func publishCargo(ctx context.Context, to *mirror.Endpoint, v *foreignVersion) error {
	name, err := v.only(".crate")
	if err != nil {
		return err
	}
	content, size, err := v.open(name)
	if err != nil {
		return err
	}
	content.Close()
	if size > 1<<32-1 {
		return errors.New("the crate is too large for cargo's protocol")
	}
	line, err := readCrateLine(ctx, v)
	if err != nil {
		return err
	}
	about, err := json.Marshal(line.publication(v.about))
	if err != nil {
		return err
	}
	return send(ctx, to, http.MethodPut, "api/v1/crates/new", body{"application/octet-stream", func(w io.Writer) error {
		head := binary.LittleEndian.AppendUint32(nil, uint32(len(about)))
		head = append(head, about...)
		head = binary.LittleEndian.AppendUint32(head, uint32(size))
		if _, err := w.Write(head); err != nil {
			return err
		}
		return v.copy(w, name)
	}})
}

// maxIndexFile bounds the index file of a crate, in bytes.
const maxIndexFile = 64 << 20

func readCrateLine(ctx context.Context, v *foreignVersion) (*crateLine, error) {
	u, err := v.source.Resolve("./" + strings.ToLower(mirror.CratePath(v.pkg.Name)))
	if err != nil {
		return nil, err
	}
	index, err := v.source.Get(ctx, u, "")
	if err != nil {
		return nil, err
	}
	defer index.Close()
	lines := json.NewDecoder(io.LimitReader(index, maxIndexFile))
	for {
		line := new(crateLine)
		if err := lines.Decode(line); err != nil {
			return nil, fmt.Errorf("the index of the source does not have the version: %w", err)
		}
		if line.Version == v.at.Version {
			return line, nil
		}
	}
}

// publishGeneric publishes the assets one by one, as the SDKs do.
func (f *Foreign) publishGeneric(ctx context.Context, v *foreignVersion) error {
	for i := range v.assets {
		a := &v.assets[i]
		content, err := v.spool.open(a.SHA256)
		if err != nil {
			return err
		}
		_, err = f.Staging.API.PublishPackageVersion(ctx, &codeartifact.PublishPackageVersionInput{
			Domain: &f.Staging.Domain, Repository: &f.Staging.Name, Format: types.PackageFormatGeneric, Namespace: packagerepo.Optional(v.pkg.Namespace),
			Package: &v.pkg.Name, PackageVersion: &v.at.Version, AssetName: &a.Name, AssetContent: content, AssetSHA256: &a.SHA256,
			Unfinished: aws.Bool(i < len(v.assets)-1),
		})
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// packageJSON is the manifest in the tarball.
func (v *foreignVersion) packageJSON() (json.RawMessage, error) {
	content, _, err := v.open("package.tgz")
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := readFromTarball(content, "package.json")
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &object); err != nil {
		return nil, fmt.Errorf("package.json in the tarball cannot be read: %w", err)
	}
	return text, nil
}
