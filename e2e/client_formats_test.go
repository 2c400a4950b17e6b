package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
)

// The requests of the clients of Maven, Cargo, NuGet, Ruby and Swift, and of generic
// packages, as these clients send them. The stories in testdata/script run the clients
// themselves.

// vendor is in the namespaces of the packages.
const vendor = "acme"

// A publishedVersion is a version of a package, and who publishes it.
type publishedVersion struct {
	*session
	format, name, version string
}

// An upload is one request of a publication.
type upload struct {
	change change
	send   func() error
}

// publications has, for each format, the requests that publish a version. data makes its
// bytes differ from those of other versions.
var publications = map[string]func(v publishedVersion, data []byte) []upload{
	"maven":   publishedVersion.deploy,
	"cargo":   publishedVersion.publishCrate,
	"nuget":   publishedVersion.pushNupkg,
	"ruby":    publishedVersion.pushGem,
	"swift":   publishedVersion.publishRelease,
	"generic": publishedVersion.publishGeneric,
}

// fileKey is the key of a file at a path below the endpoint of a format. The value is its
// SHA-256.
func fileKey(format, path string) string { return "file/" + format + "/" + path }

// listedKey is the key of a version in the index that clients read. The value is the
// SHA-256 of its archive, if the index has it.
func (v publishedVersion) listedKey() string {
	return "listed/" + v.format + "/" + v.name + "@" + v.version
}

// request returns a request with the authorization that the clients of the format send.
func (s *session) request(method, format, path string) *request {
	r := s.pkg(method, format, path)
	token := strings.TrimPrefix(s.bearer, "Bearer ")
	switch format {
	case "maven", "nuget":
		r.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte("aws:"+token))
	case "cargo", "ruby":
		r.authorization = token
	}
	return r
}

// sending is an upload of a request.
func (v publishedVersion) sending(r *request, status int, c change) upload {
	return upload{c, func() error { _, err := v.do(r, status); return err }}
}

// mavenFile is the path of a file of a version of an artifact.
func mavenFile(artifact, version, extension string) string {
	return fmt.Sprintf("com/%s/%s/%s/%s-%s.%s", vendor, artifact, version, artifact, version, extension)
}

// mavenIndex is the path of the index of an artifact.
func mavenIndex(artifact string) string {
	return "com/" + vendor + "/" + artifact + "/maven-metadata.xml"
}

// deploy puts a jar, its POM, a checksum, and the index: only with it, the version is
// complete.
func (v publishedVersion) deploy(data []byte) []upload {
	pom := fmt.Appendf(nil, "<project><modelVersion>4.0.0</modelVersion><groupId>com.%s</groupId><artifactId>%s</artifactId><version>%s</version></project>", vendor, v.name, v.version)
	index := fmt.Appendf(nil, "<metadata><groupId>com.%s</groupId><artifactId>%s</artifactId><versioning><release>%[3]s</release><versions><version>%[3]s</version></versions></versioning></metadata>", vendor, v.name, v.version)
	file := func(extension string) string { return mavenFile(v.name, v.version, extension) }
	put := func(path string, body []byte, c change) upload {
		return v.sending(v.request("PUT", "maven", path).sends(body), http.StatusCreated, c)
	}
	return []upload{
		put(file("jar"), data, change{fileKey("maven", file("jar")): hexSum(data)}),
		put(file("pom"), pom, change{fileKey("maven", file("pom")): hexSum(pom)}),
		put(file("jar.sha256"), []byte(hexSum(data)), nil),
		put(mavenIndex(v.name), index, change{v.listedKey(): present}),
	}
}

// published is the change of a publication in one request.
func (v publishedVersion) published(path string, file []byte, listed string) change {
	return change{fileKey(v.format, path): hexSum(file), v.listedKey(): listed}
}

// cratePath is the path of the archive of a crate.
func cratePath(name, version string) string {
	return "api/v1/crates/" + name + "/" + version + "/download"
}

// newCrate is where crates are published.
const newCrate = "api/v1/crates/new"

func (v publishedVersion) publishCrate(data []byte) []upload {
	crate, body := makeCrate(v.name, v.version, data)
	r := v.request("PUT", "cargo", newCrate).sends(body)
	return []upload{v.sending(r, http.StatusOK, v.published(cratePath(v.name, v.version), crate, hexSum(crate)))}
}

// makeCrate returns the archive of a crate, and the body of the request that publishes it.
func makeCrate(name, version string, data []byte) (crate, body []byte) {
	crate = gzipped(tarOf(
		archiveFile{name + "-" + version + "/Cargo.toml", fmt.Appendf(nil, "[package]\nname = %q\nversion = %q\n", name, version)},
		archiveFile{name + "-" + version + "/data", data},
	))
	metadata := fmt.Appendf(nil, `{"name":%q,"vers":%q,"deps":[],"features":{},"authors":[],"description":null,"license":"MIT"}`, name, version)
	return crate, slices.Concat(littleEndian(len(metadata)), metadata, littleEndian(len(crate)), crate)
}

// littleEndian is a length of 32 bits.
func littleEndian(n int) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }

// nupkgPath is the path of a NuGet package.
func nupkgPath(name, version string) string {
	return fmt.Sprintf("v3/flatcontainer/%[1]s/%[2]s/%[1]s.%[2]s.nupkg", name, version)
}

func (v publishedVersion) pushNupkg(data []byte) []upload {
	nupkg := zipOf(
		archiveFile{v.name + ".nuspec", fmt.Appendf(nil, `<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"><metadata><id>%s</id><version>%s</version><authors>e2e</authors><description>a test</description></metadata></package>`, v.name, v.version)},
		archiveFile{"lib/data", data},
	)
	body, contentType := formOf(part{`form-data; name="package"; filename="package.nupkg"`, nupkg})
	r := v.request("PUT", "nuget", "v3/package/").with("Content-Type", contentType).sends(body)
	return []upload{v.sending(r, http.StatusCreated, v.published(nupkgPath(v.name, v.version), nupkg, present))}
}

// gemPath is the path of a gem.
func gemPath(name, version string) string { return "gems/" + name + "-" + version + ".gem" }

func (v publishedVersion) pushGem(data []byte) []upload {
	specification := fmt.Appendf(nil, "--- !ruby/object:Gem::Specification\nname: %s\nversion: !ruby/object:Gem::Version\n  version: %s\nsummary: a test\nauthors: [e2e]\n", v.name, v.version)
	gem := tarOf(archiveFile{"metadata.gz", gzipped(specification)}, archiveFile{"data.tar.gz", gzipped(tarOf(archiveFile{"data", data}))})
	r := v.request("POST", "ruby", "api/v1/gems").with("Content-Type", "application/octet-stream").sends(gem)
	return []upload{v.sending(r, http.StatusOK, v.published(gemPath(v.name, v.version), gem, hexSum(gem)))}
}

// swiftPath is the path of a package, of one of its releases, or of a file of that.
func swiftPath(segments ...string) string { return vendor + "/" + strings.Join(segments, "/") }

func (v publishedVersion) publishRelease(data []byte) []upload {
	manifest := []byte("// swift-tools-version:5.7\nimport PackageDescription\n// " + v.version + "\n")
	archive := zipOf(archiveFile{v.name + "/Package.swift", manifest}, archiveFile{v.name + "/data", data})
	body, contentType := formOf(part{`form-data; name="source-archive"`, archive}, part{`form-data; name="metadata"`, []byte("{}")})
	r := v.request("PUT", "swift", swiftPath(v.name, v.version)).with("Content-Type", contentType).with("Accept", "application/vnd.swift.registry.v1+json").sends(body)
	c := v.published(swiftPath(v.name, v.version+".zip"), archive, hexSum(archive))
	c[fileKey("swift", swiftPath(v.name, v.version, "Package.swift"))] = hexSum(manifest)
	return []upload{v.sending(r, http.StatusCreated, c)}
}

// publishGeneric publishes two assets. The version is Unfinished until the second.
func (v publishedVersion) publishGeneric(data []byte) []upload {
	asset := func(name string, content []byte, unfinished bool, c change) upload {
		c[fileKey("generic", v.name+"/"+v.version+"/"+name)] = hexSum(content)
		return upload{c, func() error {
			_, err := codeartifact.NewFromConfig(v.aws).PublishPackageVersion(v.ctx, &codeartifact.PublishPackageVersionInput{
				Domain: aws.String(domain), Repository: aws.String(libRepository), Format: types.PackageFormatGeneric,
				Namespace: aws.String(vendor), Package: &v.name, PackageVersion: &v.version,
				AssetName: &name, AssetContent: bytes.NewReader(content), AssetSHA256: aws.String(hexSum(content)), Unfinished: &unfinished,
			})
			return err
		}}
	}
	return []upload{
		asset("data", data, true, change{}),
		asset("readme", []byte(v.version), false, change{v.listedKey(): present}),
	}
}

// formatsPackage is the name of the packages of these formats.
const formatsPackage = "sample"

// formatNames are the formats in publications.
var formatNames = []string{"cargo", "generic", "maven", "nuget", "ruby", "swift"}

// changeFormats publishes a version, or unlists one.
func (c *client) changeFormats() error {
	if len(c.published) > 0 && c.chance(8) {
		return c.unlist()
	}
	v := publishedVersion{c.session, formatNames[c.rand.IntN(len(formatNames))], formatsPackage, c.version()}
	for _, u := range publications[v.format](v, content(c.rand)) {
		if err := c.write(u.change, u.send); err != nil {
			return err
		}
	}
	c.published = append(c.published, v)
	return nil
}

// unlist takes the version that the client published last out of the index. Its files
// stay.
func (c *client) unlist() error {
	last := len(c.published) - 1
	v := c.published[last]
	c.published = c.published[:last]
	in := &codeartifact.UpdatePackageVersionsStatusInput{
		Domain: aws.String(domain), Repository: aws.String(libRepository), Format: types.PackageFormat(v.format), Namespace: namespaceOf(v.format),
		Package: &v.name, Versions: []string{v.version}, TargetStatus: types.PackageVersionStatusUnlisted,
	}
	return c.write(change{v.listedKey(): ""}, func() error {
		out, err := codeartifact.NewFromConfig(c.aws).UpdatePackageVersionsStatus(c.ctx, in)
		if err == nil && len(out.FailedVersions) > 0 {
			err = fmt.Errorf("unlist %s %s: %v", v.format, v.version, out.FailedVersions)
		}
		return err
	})
}

// namespaceOf is the namespace of a format's packages, or nil.
func namespaceOf(format string) *string {
	switch format {
	case "maven":
		return aws.String("com." + vendor)
	case "swift", "generic":
		return aws.String(vendor)
	}
	return nil
}

// An archiveFile is a file of an archive.
type archiveFile struct {
	name    string
	content []byte
}

// Writing to memory cannot fail, so the functions below panic if it does.

func tarOf(files ...archiveFile) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		must(w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.content))}))
		must(second(w.Write(f.content)))
	}
	must(w.Close())
	return b.Bytes()
}

func zipOf(files ...archiveFile) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		must(err)
		must(second(w.Write(f.content)))
	}
	must(z.Close())
	return b.Bytes()
}

func gzipped(content []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	must(err)
	must(second(z.Write(content)))
	must(z.Close())
	return b.Bytes()
}

// A part is a part of a form.
type part struct {
	disposition string
	content     []byte
}

func formOf(parts ...part) (body []byte, contentType string) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, p := range parts {
		w, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {p.disposition}})
		must(err)
		must(second(w.Write(p.content)))
	}
	must(form.Close())
	return b.Bytes(), form.FormDataContentType()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
