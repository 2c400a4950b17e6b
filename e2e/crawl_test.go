package e2e

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	artifacttypes "github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// A crawl reads everything that a server lists, and checks each hash and each
// reference.
type crawl struct {
	*session
	mu    sync.Mutex
	seen  map[string]string // by the ledger's keys
	blobs map[digest.Digest]bool
}

// readAll crawls the server and returns its contents by the ledger's keys.
func (s *session) readAll() (map[string]string, error) {
	c := &crawl{session: s, seen: map[string]string{}, blobs: map[digest.Digest]bool{}}
	var g errgroup.Group
	for _, part := range []func() error{c.images, c.kept, c.uploaded, c.npm, c.pypi, c.files, c.users, c.keys, c.repositories, c.libraries} {
		g.Go(part)
	}
	for format := range indexes {
		g.Go(func() error { return c.listed(format) })
	}
	return c.seen, g.Wait()
}

func (c *crawl) record(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[key] = value
}

// json requests a document and decodes it into v.
func (c *crawl) json(r *request, v any) error {
	a, err := c.do(r, http.StatusOK)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("%s: %w", r.url, err)
	}
	return nil
}

// images reads every manifest, with and without a tag, and every blob that one
// of them needs or that was ever pushed.
func (c *crawl) images() error {
	pages := ecr.NewListImagesPaginator(ecr.NewFromConfig(c.aws), &ecr.ListImagesInput{RepositoryName: aws.String("app")})
	var ids []types.ImageIdentifier
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return err
		}
		ids = append(ids, page.ImageIds...)
	}
	var tags struct{ Tags []string }
	if err := c.json(c.oci("GET", "/v2/app/tags/list?n=10000"), &tags); err != nil {
		return err
	}
	for _, tag := range tags.Tags {
		ids = append(ids, types.ImageIdentifier{ImageTag: &tag})
	}
	for _, id := range ids {
		if err := c.image(id); err != nil {
			return err
		}
	}
	for _, key := range c.ledger.mentioned() {
		d, ok := strings.CutPrefix(key, blobKey(""))
		if !ok {
			continue
		}
		there, err := c.blobOnce(digest.Digest(d))
		if err != nil {
			return err
		}
		if there {
			c.record(key, present)
		}
	}
	return nil
}

func (c *crawl) image(id types.ImageIdentifier) error {
	reference := aws.ToString(id.ImageTag)
	if reference == "" {
		reference = *id.ImageDigest
	}
	m, err := c.manifest(reference)
	if err != nil {
		return err
	}
	if m == nil {
		return fmt.Errorf("image %s is listed, and is not there", reference)
	}
	if id.ImageTag != nil {
		c.record(tagKey(*id.ImageTag), m.digest.String())
	}
	c.record(manifestKey(m.digest), present)
	for _, b := range append(m.Layers, m.Config) {
		if there, err := c.blobOnce(b.Digest); err != nil || !there {
			return fmt.Errorf("image %s needs %s: there %v, %v", reference, b.Digest, there, err)
		}
	}
	return nil
}

// blobOnce is blob with a cache.
func (c *crawl) blobOnce(d digest.Digest) (bool, error) {
	if there, known := c.blobs[d]; known {
		return there, nil
	}
	there, err := c.blob(d)
	c.blobs[d] = there
	return there, err
}

// A pulled image has the digest of its manifest.
type pulled struct {
	image
	digest digest.Digest
}

// manifest pulls a manifest. It returns nil if there is none.
func (s *session) manifest(reference string) (*pulled, error) {
	a, err := s.do(s.oci("GET", "/v2/app/manifests/"+reference).with("Accept", ociManifest), http.StatusOK, http.StatusNotFound)
	if err != nil || a.status == http.StatusNotFound {
		return nil, err
	}
	m := &pulled{digest: digest.FromBytes(a.body)}
	if said := a.header.Get("Docker-Content-Digest"); said != m.digest.String() || strings.HasPrefix(reference, "sha256:") && said != reference {
		return nil, fmt.Errorf("manifest %s has the digest %s, and is served as %s", reference, m.digest, said)
	}
	return m, json.Unmarshal(a.body, &m.image)
}

// blob pulls a blob, checks its digest, and reports whether it exists.
func (s *session) blob(d digest.Digest) (bool, error) {
	a, err := s.do(s.oci("GET", "/v2/app/blobs/"+d.String()), http.StatusOK, http.StatusNotFound)
	if err != nil || a.status == http.StatusNotFound {
		return false, err
	}
	if got := digest.FromBytes(a.body); got != d {
		return true, fmt.Errorf("blob %s has %d bytes of digest %s", d, len(a.body), got)
	}
	return true, nil
}

// uploaded requests the offset of every upload.
func (c *crawl) uploaded() error {
	for _, key := range c.ledger.mentioned() {
		path, ok := strings.CutPrefix(key, "upload")
		if !ok {
			continue
		}
		a, err := c.do(c.oci("GET", path), http.StatusNoContent, http.StatusNotFound)
		if err != nil {
			return err
		}
		if a.status == http.StatusNotFound {
			continue
		}
		last, err := strconv.Atoi(strings.TrimPrefix(a.header.Get("Range"), "0-"))
		if err != nil {
			return fmt.Errorf("upload %s: %w", path, err)
		}
		if last > 0 { // 0-0 means empty: the clients send no chunks of one byte
			last++
		}
		c.record(key, strconv.Itoa(last))
	}
	return nil
}

// packageNames lists the packages of a format.
func (c *crawl) packageNames(format string) ([]string, error) {
	pages := codeartifact.NewListPackagesPaginator(codeartifact.NewFromConfig(c.aws), &codeartifact.ListPackagesInput{Domain: aws.String(domain), Repository: aws.String(libRepository), Format: artifacttypes.PackageFormat(format)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Packages {
			name := *p.Package
			if p.Namespace != nil {
				name = "@" + *p.Namespace + "/" + name
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// npm reads every package's document and every tarball that it names.
func (c *crawl) npm() error {
	names, err := c.packageNames("npm")
	if err != nil {
		return err
	}
	for _, name := range names {
		var doc struct {
			Tags     map[string]string `json:"dist-tags"`
			Versions map[string]struct {
				Dist struct{ Tarball, Integrity string }
			}
		}
		if err := c.json(c.pkg("GET", "npm", url.PathEscape(name)), &doc); err != nil {
			return err
		}
		for tag, version := range doc.Tags {
			if _, ok := doc.Versions[version]; !ok {
				return fmt.Errorf("the tag %s of %s is on %s, which is not there", tag, name, version)
			}
			c.record(npmTagKey(name, tag), version)
		}
		for version, v := range doc.Versions {
			a, err := c.do(&request{method: "GET", url: v.Dist.Tarball, authorization: c.bearer}, http.StatusOK)
			if err != nil {
				return err
			}
			sum := sha512.Sum512(a.body)
			if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != v.Dist.Integrity {
				return fmt.Errorf("%s has the integrity %s, and its document says %s", v.Dist.Tarball, got, v.Dist.Integrity)
			}
			c.record(npmKey(name, version), v.Dist.Integrity)
		}
	}
	return nil
}

// pypi reads every project's page and every file that it names.
func (c *crawl) pypi() error {
	names, err := c.packageNames("pypi")
	if err != nil {
		return err
	}
	for _, name := range names {
		page := c.pkg("GET", "pypi", "simple/"+name+"/").with("Accept", "application/vnd.pypi.simple.v1+json")
		var project struct {
			Files []struct {
				Filename, URL string
				Hashes        map[string]string
				CoreMetadata  map[string]string `json:"core-metadata"`
			}
		}
		if err := c.json(page, &project); err != nil {
			return err
		}
		base, err := url.Parse(page.url)
		if err != nil {
			return err
		}
		for _, f := range project.Files {
			u, err := base.Parse(f.URL)
			if err != nil {
				return err
			}
			for address, want := range map[string]string{u.String(): f.Hashes["sha256"], u.String() + ".metadata": f.CoreMetadata["sha256"]} {
				a, err := c.do(&request{method: "GET", url: address, authorization: c.bearer}, http.StatusOK)
				if err != nil {
					return err
				}
				if got := hexSum(a.body); got != want {
					return fmt.Errorf("%s has the SHA-256 %s, and its page says %s", address, got, want)
				}
			}
			c.record("pypi/"+f.Filename, f.Hashes["sha256"])
		}
	}
	return nil
}

// users reads every user and its policy, except the server's own.
func (c *crawl) users() error {
	api := iam.NewFromConfig(c.aws)
	pages := iam.NewListUsersPaginator(api, &iam.ListUsersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Users {
			if *u.UserName == "admin" {
				continue
			}
			c.record("user/"+*u.UserName, present)
			p, err := api.GetUserPolicy(c.ctx, &iam.GetUserPolicyInput{UserName: u.UserName, PolicyName: aws.String("p")})
			if isOtherError(err, "NoSuchEntity") {
				return err
			}
			if err != nil {
				continue
			}
			document, err := url.QueryUnescape(*p.PolicyDocument)
			if err != nil {
				return err
			}
			c.record("user-policy/"+*u.UserName, document)
		}
	}
	return nil
}

// isOtherError reports whether err is an error with another code.
func isOtherError(err error, code string) bool {
	var api smithy.APIError
	return err != nil && !(errors.As(err, &api) && api.ErrorCode() == code)
}

// keys uses every access key that was created.
func (c *crawl) keys() error {
	for _, key := range c.ledger.mentioned() {
		credentials, ok := strings.CutPrefix(key, "key/")
		if !ok {
			continue
		}
		id, secret, _ := strings.Cut(credentials, "/")
		as := c.aws.Copy()
		as.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		})
		who, err := sts.NewFromConfig(as).GetCallerIdentity(c.ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(*who.Arn, "user/")
		c.record(key, name)
	}
	return nil
}

// repositories reads every repository of images and its policy.
func (c *crawl) repositories() error {
	api := ecr.NewFromConfig(c.aws)
	pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Repositories {
			c.record("repository/"+*r.RepositoryName, present)
			p, err := api.GetRepositoryPolicy(c.ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: r.RepositoryName})
			if isOtherError(err, "RepositoryPolicyNotFoundException") {
				return err
			}
			if err == nil {
				c.record("repository-policy/"+*r.RepositoryName, *p.PolicyText)
			}
		}
	}
	return nil
}

// libraries reads every repository of packages.
func (c *crawl) libraries() error {
	pages := codeartifact.NewListRepositoriesPaginator(codeartifact.NewFromConfig(c.aws), &codeartifact.ListRepositoriesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Repositories {
			c.record("library/"+*r.Name, present)
		}
	}
	return nil
}
