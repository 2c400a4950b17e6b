// Package maven reads Maven repositories. It implements [source.FileCodec].
//
// The index of an artifact, maven-metadata.xml, tells its versions, and the one of a group
// its plug-ins. Nothing tells the files of a version, so each is asked for by its name. Its
// digest is in a checksum file beside it, which is asked for first: if that is there, so is
// the file.
package maven

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/egress"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/maven/document"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/source"
)

// Codec implements [source.FileCodec].
type Codec struct{}

// maxIndex bounds the index of an artifact or a group, in bytes. The largest of the public
// repositories have a few hundred KiB.
const maxIndex = 16 << 20

// indexTypes are the media types of an index. Servers of plain files do not always know
// it.
var indexTypes = []string{"application/xml", "text/xml", "text/plain", "application/octet-stream", "binary/octet-stream"}

// Package implements [source.Codec]. A package without a name stands for its group: it
// has the group's plug-ins as [document.Plugins] in its Attributes, and no versions.
func (Codec) Package(ctx context.Context, r *source.Registry, id packages.PackageID, known string) (*packages.RemotePackage, string, error) {
	segments := strings.Split(id.Namespace, ".")
	if id.Name != "" {
		segments = append(segments, id.Name)
	}
	path, ok := pathOf(append(segments, "maven-metadata.xml"))
	if !ok {
		return nil, "", packages.ErrNoRemotePackage
	}
	var validators source.Validators
	if known != "" {
		if err := json.Unmarshal([]byte(known), &validators); err != nil {
			return nil, "", err
		}
	}
	bounded := *r
	bounded.Settings.MaxDocument = min(bounded.Settings.MaxDocument, maxIndex)
	answer, err := bounded.Get(ctx, path, "application/xml", indexTypes, validators)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	// All of it is read: before the end, the sum of a compressed answer is not checked.
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, "", source.ReadError(err, body, "it cannot be read")
	}
	x, err := document.ParseIndex(text)
	if err != nil {
		return nil, "", &source.BadAnswer{What: "it is not a maven-metadata.xml", Err: err}
	}
	p, err := newPackage(id, x)
	if err != nil {
		return nil, "", err
	}
	validator, err := json.Marshal(source.ValidatorsOf(answer))
	return p, string(validator), err
}

// newPackage makes the package, or the group, of an index.
func newPackage(id packages.PackageID, x *document.Index) (*packages.RemotePackage, error) {
	p := &packages.RemotePackage{}
	if id.Name == "" {
		if len(x.Plugins) == 0 {
			return nil, packages.ErrNoRemotePackage // it is the index of an artifact
		}
		var err error
		p.Attributes, err = json.Marshal(document.Plugins{Plugins: x.Plugins})
		return p, err
	}
	if x.ArtifactID != "" && x.ArtifactID != id.Name {
		if len(x.Plugins) > 0 && x.Versioning == nil {
			return nil, packages.ErrNoRemotePackage // it is the index of a group
		}
		return nil, &source.BadAnswer{What: "it is the index of another artifact and not of " + id.Name}
	}
	p.Modified = x.LastUpdated()
	for _, version := range x.Listed() {
		// The index was changed when its last version came. The others are older.
		p.Versions = append(p.Versions, packages.RemoteVersion{Version: version, Status: packages.Published, Seen: p.Modified})
	}
	if len(p.Versions) == 0 {
		return nil, packages.ErrNoRemotePackage
	}
	return p, nil
}

// Describe implements [source.Codec]. An index does not say what an artifact is.
func (Codec) Describe(id packages.PackageID, _ json.RawMessage) *packages.Description {
	return &packages.Description{DisplayName: id.Name}
}

// DescribeFile implements [source.FileCodec]: a POM says what its version is.
func (Codec) DescribeFile(_ packages.PackageID, name string, content io.Reader) *packages.Description {
	if !strings.HasSuffix(name, ".pom") {
		return nil
	}
	pom, err := document.ParsePOM(io.LimitReader(content, document.MaxPOM))
	if err != nil {
		return nil // clients decide whether they can use it
	}
	return pom.Describe()
}

// pathOf is the path of segments, escaped. ok is false if it could lead elsewhere.
func pathOf(segments []string) (path string, ok bool) {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, `/\`) {
			return "", false
		}
		escaped[i] = url.PathEscape(s)
	}
	return strings.Join(escaped, "/"), true
}

// File implements [source.FileCodec].
func (Codec) File(ctx context.Context, r *source.Registry, id packages.PackageID, version, name string) (*packages.RemoteAsset, error) {
	path, ok := pathOf(append(strings.Split(id.Namespace, "."), id.Name, version, name))
	if !ok {
		return nil, packages.ErrNoRemotePackage
	}
	a := &packages.RemoteAsset{Name: name, URL: r.Client.Base() + path}
	sum, err := readDigest(ctx, r, path+".sha1", sha1.Size, a)
	if err == nil {
		a.SHA1 = sum
		return a, nil
	}
	unreadable := (*source.BadAnswer)(nil)
	switch {
	case errors.As(err, &unreadable): // perhaps the other checksum is better
	case !errors.Is(err, packages.ErrNoRemotePackage):
		return nil, err
	default:
		if err := stat(ctx, r, path, a); err != nil {
			return nil, err
		}
	}
	sum, err = readDigest(ctx, r, path+".md5", md5.Size, a)
	switch {
	case err == nil:
		a.MD5 = sum
	case !errors.Is(err, packages.ErrNoRemotePackage):
		return nil, err
	case unreadable != nil:
		return nil, unreadable
	}
	return a, nil // perhaps without a digest: not every repository has them
}

// maxDigest bounds a checksum file, in bytes.
const maxDigest = 4 << 10

// readDigest reads a checksum file: a hash in hex, to which some tools add the name of the
// file, before or after it. It also sets the file's time. The hash is in lower case.
func readDigest(ctx context.Context, r *source.Registry, path string, size int, a *packages.RemoteAsset) (string, error) {
	bounded := *r
	bounded.Settings.MaxDocument = maxDigest
	answer, err := bounded.Get(ctx, path, "", nil, source.Validators{})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body := &source.FailingReader{R: answer.Body}
	text, err := io.ReadAll(body)
	if err != nil {
		return "", source.ReadError(err, body, "a checksum cannot be read")
	}
	for word := range strings.FieldsSeq(string(text)) {
		if sum, err := hex.DecodeString(word); err == nil && len(sum) == size {
			a.Published = published(answer.Header)
			return hex.EncodeToString(sum), nil
		}
	}
	return "", &source.BadAnswer{What: path[strings.LastIndexByte(path, '/')+1:] + " has no checksum"}
}

// stat asks whether a file is there, and sets its size and time.
func stat(ctx context.Context, r *source.Registry, path string, a *packages.RemoteAsset) error {
	answer, err := r.Client.Do(ctx, egress.Request{Method: http.MethodHead, URL: path})
	if egress.IsNotFound(err) {
		return packages.ErrNoRemotePackage
	}
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	a.Size, a.Published = max(answer.Length, 0), published(answer.Header)
	return nil
}

// published is when an answer says that its file was changed.
func published(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
