package codeartifactapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/codeartifactapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestDomainLifecycle(t *testing.T) {
	s := serve(t)
	ctx, name := t.Context(), aws.String("acme")
	created := get[*sdk.CreateDomainOutput](t)(s.admin.CreateDomain(ctx, &sdk.CreateDomainInput{
		Domain: name, EncryptionKey: aws.String("arn:aws:kms:eu-west-1:111122223333:key/k"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
	})).Domain
	if *created.Arn != domainARN || *created.Owner != account || *created.Name != "acme" || created.Status != types.DomainStatusActive ||
		!created.CreatedTime.Equal(start) || *created.EncryptionKey != "arn:aws:kms:eu-west-1:111122223333:key/k" {
		t.Fatalf("%+v", created)
	}
	_, err := s.admin.CreateDomain(ctx, &sdk.CreateDomainInput{Domain: name})
	if e := fails[*types.ConflictException](t, err, 409, "exists already"); e.ResourceType != types.ResourceTypeDomain || *e.ResourceId != "acme" {
		t.Fatalf("%+v", e)
	}
	_, err = s.admin.CreateDomain(ctx, &sdk.CreateDomainInput{Domain: aws.String("Acme")})
	if e := fails[*types.ValidationException](t, err, 400, "domain"); e.Reason != types.ValidationExceptionReasonFieldValidationFailed {
		t.Fatalf("%+v", e)
	}
	s.repository("store")
	s.publish(packages.Publication{Repository: acme.Repository("store"), Package: packages.PackageID{Format: packages.NPM, Name: "lib"}, Version: "1.0.0"}, map[string]string{"a": "12345"})
	d := get[*sdk.DescribeDomainOutput](t)(s.admin.DescribeDomain(ctx, &sdk.DescribeDomainInput{Domain: name, DomainOwner: aws.String(account)})).Domain
	if d.RepositoryCount != 1 || d.AssetSizeBytes != 5 {
		t.Fatalf("%+v", d)
	}
	tags := get[*sdk.ListTagsForResourceOutput](t)(s.admin.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: d.Arn})).Tags
	if len(tags) != 1 || *tags[0].Key != "team" || *tags[0].Value != "web" {
		t.Fatalf("%+v", tags)
	}
	_, err = s.admin.DeleteDomain(ctx, &sdk.DeleteDomainInput{Domain: name})
	fails[*types.ConflictException](t, err, 409, "Delete them first")
	_, err = s.admin.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{Domain: name, Repository: aws.String("store")})
	must(t, err)
	gone := get[*sdk.DeleteDomainOutput](t)(s.admin.DeleteDomain(ctx, &sdk.DeleteDomainInput{Domain: name})).Domain
	if gone.Status != types.DomainStatusDeleted {
		t.Fatalf("%+v", gone)
	}
	_, err = s.admin.DescribeDomain(ctx, &sdk.DescribeDomainInput{Domain: name})
	fails[*types.ResourceNotFoundException](t, err, 404, "Domain not found")
	if again := get[*sdk.DeleteDomainOutput](t)(s.admin.DeleteDomain(ctx, &sdk.DeleteDomainInput{Domain: name})); again.Domain != nil {
		t.Fatalf("%+v", again.Domain)
	}
}

// Terraform's aws_codeartifact_repository and
// aws_codeartifact_repository_permissions_policy call in this order.
// AWS always names a key and a bucket, and Terraform reads both.
func TestDescribeDomain_Defaults(t *testing.T) {
	s := serve(t)
	created := get[*sdk.CreateDomainOutput](t)(s.admin.CreateDomain(t.Context(), &sdk.CreateDomainInput{Domain: aws.String("acme")})).Domain
	described := get[*sdk.DescribeDomainOutput](t)(s.admin.DescribeDomain(t.Context(), &sdk.DescribeDomainInput{Domain: aws.String("acme")})).Domain
	listed := get[*sdk.ListDomainsOutput](t)(s.admin.ListDomains(t.Context(), &sdk.ListDomainsInput{})).Domains[0]
	for _, key := range []*string{created.EncryptionKey, described.EncryptionKey, listed.EncryptionKey} {
		if key == nil || !strings.HasPrefix(*key, "arn:aws:kms:"+region+":"+account+":key/") || *key != *created.EncryptionKey {
			t.Fatalf("the key is %v", key)
		}
	}
	if b := described.S3BucketArn; b == nil || !strings.HasPrefix(*b, "arn:aws:s3:::assets-") {
		t.Fatalf("the bucket is %v", b)
	}
}

func TestRepositoryLifecycle(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("base")
	ctx, domain, name := t.Context(), aws.String("acme"), aws.String("app")
	r := get[*sdk.CreateRepositoryOutput](t)(s.admin.CreateRepository(ctx, &sdk.CreateRepositoryInput{
		Domain: domain, Repository: name, Description: aws.String("the app's"), Upstreams: []types.UpstreamRepository{{RepositoryName: aws.String("base")}},
	})).Repository
	describe := func() *types.RepositoryDescription {
		return get[*sdk.DescribeRepositoryOutput](t)(s.admin.DescribeRepository(ctx, &sdk.DescribeRepositoryInput{Domain: domain, DomainOwner: aws.String(account), Repository: name})).Repository
	}
	for _, r := range []*types.RepositoryDescription{r, describe()} {
		if *r.Arn != "arn:aws:codeartifact:"+region+":"+account+":repository/acme/app" || *r.AdministratorAccount != account || *r.Description != "the app's" ||
			*r.DomainName != "acme" || *r.DomainOwner != account || len(r.Upstreams) != 1 || *r.Upstreams[0].RepositoryName != "base" || len(r.ExternalConnections) != 0 {
			t.Fatalf("%+v", r)
		}
	}
	_, err := s.admin.UpdateRepository(ctx, &sdk.UpdateRepositoryInput{Domain: domain, Repository: name, Description: aws.String("")})
	must(t, err)
	if r := describe(); r.Description != nil || len(r.Upstreams) != 1 {
		t.Fatalf("%+v", r)
	}
	_, err = s.admin.UpdateRepository(ctx, &sdk.UpdateRepositoryInput{Domain: domain, Repository: name, Upstreams: []types.UpstreamRepository{}})
	must(t, err)
	if r := describe(); len(r.Upstreams) != 0 {
		t.Fatalf("%+v", r)
	}

	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"codeartifact:ReadFromRepository","Resource":"*"}]}`
	_, err = s.admin.GetRepositoryPermissionsPolicy(ctx, &sdk.GetRepositoryPermissionsPolicyInput{Domain: domain, Repository: name})
	fails[*types.ResourceNotFoundException](t, err, 404, "no permissions policy")
	put := get[*sdk.PutRepositoryPermissionsPolicyOutput](t)(s.admin.PutRepositoryPermissionsPolicy(ctx, &sdk.PutRepositoryPermissionsPolicyInput{Domain: domain, Repository: name, PolicyDocument: &doc})).Policy
	read := get[*sdk.GetRepositoryPermissionsPolicyOutput](t)(s.admin.GetRepositoryPermissionsPolicy(ctx, &sdk.GetRepositoryPermissionsPolicyInput{Domain: domain, Repository: name})).Policy
	if *put.Revision != *read.Revision || *read.Document != doc || *read.ResourceArn != *r.Arn {
		t.Fatalf("%+v, %+v", put, read)
	}
	_, err = s.admin.PutRepositoryPermissionsPolicy(ctx, &sdk.PutRepositoryPermissionsPolicyInput{Domain: domain, Repository: name, PolicyDocument: &doc, PolicyRevision: aws.String("stale")})
	fails[*types.ConflictException](t, err, 409, "revision")
	bad := `{"Statement":{}}`
	_, err = s.admin.PutRepositoryPermissionsPolicy(ctx, &sdk.PutRepositoryPermissionsPolicyInput{Domain: domain, Repository: name, PolicyDocument: &bad})
	fails[*types.ValidationException](t, err, 400, "policy document")
	_, err = s.admin.DeleteRepositoryPermissionsPolicy(ctx, &sdk.DeleteRepositoryPermissionsPolicyInput{Domain: domain, Repository: name, PolicyRevision: read.Revision})
	must(t, err)

	dp := get[*sdk.PutDomainPermissionsPolicyOutput](t)(s.admin.PutDomainPermissionsPolicy(ctx, &sdk.PutDomainPermissionsPolicyInput{Domain: domain, PolicyDocument: &doc})).Policy
	if *dp.ResourceArn != domainARN {
		t.Fatalf("%+v", dp)
	}
	got := get[*sdk.GetDomainPermissionsPolicyOutput](t)(s.admin.GetDomainPermissionsPolicy(ctx, &sdk.GetDomainPermissionsPolicyInput{Domain: domain}))
	if *got.Policy.Revision != *dp.Revision {
		t.Fatalf("%+v", got.Policy)
	}
	_, err = s.admin.DeleteDomainPermissionsPolicy(ctx, &sdk.DeleteDomainPermissionsPolicyInput{Domain: domain})
	must(t, err)

	_, err = s.admin.DeleteRepository(ctx, &sdk.DeleteRepositoryInput{Domain: domain, Repository: name})
	must(t, err)
	_, err = s.admin.DescribeRepository(ctx, &sdk.DescribeRepositoryInput{Domain: domain, Repository: name})
	if e := fails[*types.ResourceNotFoundException](t, err, 404, "Repository not found"); e.ResourceType != types.ResourceTypeRepository {
		t.Fatalf("%+v", e)
	}
}

func TestUpdateRepository_QuotaError(t *testing.T) {
	s := serve(t)
	s.domain()
	var up []types.UpstreamRepository
	for i := range 11 {
		up = append(up, types.UpstreamRepository{RepositoryName: aws.String(fmt.Sprint("up", i))})
	}
	_, err := s.admin.CreateRepository(t.Context(), &sdk.CreateRepositoryInput{Domain: aws.String("acme"), Repository: aws.String("app"), Upstreams: up})
	fails[*types.ServiceQuotaExceededException](t, err, 402, "at most 10")
}

// `aws codeartifact login` appends to the endpoint, so it must end in "/".
func TestGetRepositoryEndpoint(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("store")
	for _, kind := range []types.EndpointType{"", types.EndpointTypeIpv4, types.EndpointTypeDualstack} {
		out := get[*sdk.GetRepositoryEndpointOutput](t)(s.admin.GetRepositoryEndpoint(t.Context(), &sdk.GetRepositoryEndpointInput{
			Domain: aws.String("acme"), Repository: aws.String("store"), Format: types.PackageFormatNpm, EndpointType: kind,
		}))
		if *out.RepositoryEndpoint != "http://registry.example:4283/codeartifact/"+region+"/"+account+"/acme/npm/store/" {
			t.Fatalf("%s", *out.RepositoryEndpoint)
		}
	}
	_, err := s.admin.GetRepositoryEndpoint(t.Context(), &sdk.GetRepositoryEndpointInput{Domain: aws.String("acme"), Repository: aws.String("none"), Format: types.PackageFormatNpm})
	fails[*types.ResourceNotFoundException](t, err, 404, "Repository not found")
	_, err = s.admin.GetRepositoryEndpoint(t.Context(), &sdk.GetRepositoryEndpointInput{Domain: aws.String("acme"), Repository: aws.String("store"), Format: "deb"})
	fails[*types.ValidationException](t, err, 400, "format")
}

func TestListings_Paging(t *testing.T) {
	s := serve(t)
	ctx := t.Context()
	for _, d := range []string{"acme", "bcme", "ccme"} {
		_, err := s.admin.CreateDomain(ctx, &sdk.CreateDomainInput{Domain: &d})
		must(t, err)
	}
	for _, r := range []string{"web", "api", "app"} {
		s.repository(r)
	}
	var domains, repositories, inDomain []string
	for p := sdk.NewListDomainsPaginator(s.admin, &sdk.ListDomainsInput{MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		for _, d := range get[*sdk.ListDomainsOutput](t)(p.NextPage(ctx)).Domains {
			domains = append(domains, *d.Name)
		}
	}
	for p := sdk.NewListRepositoriesPaginator(s.admin, &sdk.ListRepositoriesInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		for _, r := range get[*sdk.ListRepositoriesOutput](t)(p.NextPage(ctx)).Repositories {
			repositories = append(repositories, *r.Name)
		}
	}
	for p := sdk.NewListRepositoriesInDomainPaginator(s.admin, &sdk.ListRepositoriesInDomainInput{
		Domain: aws.String("acme"), MaxResults: aws.Int32(1), RepositoryPrefix: aws.String("ap"),
	}); p.HasMorePages(); {
		for _, r := range get[*sdk.ListRepositoriesInDomainOutput](t)(p.NextPage(ctx)).Repositories {
			inDomain = append(inDomain, *r.Name)
		}
	}
	if fmt.Sprint(domains, repositories, inDomain) != "[acme bcme ccme] [api app web] [api app]" {
		t.Fatal(domains, repositories, inDomain)
	}
	for _, bad := range []string{"garbage", "WyJhIiwiYiJd"} {
		_, err := s.admin.ListDomains(ctx, &sdk.ListDomainsInput{NextToken: &bad})
		fails[*types.ValidationException](t, err, 400, "nextToken")
	}
}

func TestTagging(t *testing.T) {
	s := serve(t)
	s.domain()
	ctx, arn := t.Context(), aws.String(domainARN)
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	_, err := s.admin.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("b", "2"), tag("a", "1")}})
	must(t, err)
	_, err = s.admin.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b"}})
	must(t, err)
	_, err = s.admin.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("a", "1"), tag("a", "2")}})
	fails[*types.ValidationException](t, err, 400, "twice")
	tags := get[*sdk.ListTagsForResourceOutput](t)(s.admin.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: arn})).Tags
	if len(tags) != 1 || *tags[0].Key != "a" {
		t.Fatalf("%+v", tags)
	}
}

func TestPackages(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("store")
	ctx, domain, repo := t.Context(), aws.String("acme"), aws.String("store")
	for _, name := range []string{"lib", "able", "zoo"} {
		s.publish(packages.Publication{
			Repository: acme.Repository("store"), Package: packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: name}, Version: "1.0.0",
		}, map[string]string{"a": name})
	}
	var names []string
	for p := sdk.NewListPackagesPaginator(s.admin, &sdk.ListPackagesInput{Domain: domain, Repository: repo, MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		for _, x := range get[*sdk.ListPackagesOutput](t)(p.NextPage(ctx)).Packages {
			names = append(names, string(x.Format)+" "+*x.Namespace+" "+*x.Package+" "+string(x.OriginConfiguration.Restrictions.Upstream))
		}
	}
	if fmt.Sprint(names) != "[npm acme able BLOCK npm acme lib BLOCK npm acme zoo BLOCK]" {
		t.Fatal(names)
	}
	put := get[*sdk.PutPackageOriginConfigurationOutput](t)(s.admin.PutPackageOriginConfiguration(ctx, &sdk.PutPackageOriginConfigurationInput{
		Domain: domain, Repository: repo, Format: types.PackageFormatNpm, Namespace: aws.String("acme"), Package: aws.String("lib"),
		Restrictions: &types.PackageOriginRestrictions{Publish: types.AllowPublishBlock, Upstream: types.AllowUpstreamAllow},
	})).OriginConfiguration.Restrictions
	d := get[*sdk.DescribePackageOutput](t)(s.admin.DescribePackage(ctx, &sdk.DescribePackageInput{
		Domain: domain, Repository: repo, Format: types.PackageFormatNpm, Namespace: aws.String("acme"), Package: aws.String("lib"),
	})).Package
	if *d.OriginConfiguration.Restrictions != *put || put.Publish != types.AllowPublishBlock || *d.Name != "lib" || *d.Namespace != "acme" {
		t.Fatalf("%+v", d)
	}
	gone := get[*sdk.DeletePackageOutput](t)(s.admin.DeletePackage(ctx, &sdk.DeletePackageInput{
		Domain: domain, Repository: repo, Format: types.PackageFormatNpm, Namespace: aws.String("acme"), Package: aws.String("lib"),
	})).DeletedPackage
	if *gone.Package != "lib" {
		t.Fatalf("%+v", gone)
	}
	_, err := s.admin.DescribePackage(ctx, &sdk.DescribePackageInput{Domain: domain, Repository: repo, Format: types.PackageFormatNpm, Package: aws.String("lib")})
	if e := fails[*types.ResourceNotFoundException](t, err, 404, "Package not found"); e.ResourceType != types.ResourceTypePackage {
		t.Fatalf("%+v", e)
	}
}

func TestPackageVersions(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("store")
	ctx, domain, repo, pkg := t.Context(), aws.String("acme"), aws.String("store"), aws.String("lib")
	for _, v := range []string{"1.9.0", "2.0.0-rc.1", "1.10.0"} {
		s.publish(packages.Publication{
			Repository: acme.Repository("store"), Package: packages.PackageID{Format: packages.NPM, Name: "lib"}, Version: v, Metadata: json.RawMessage(`{}`),
			Description: &packages.Description{
				DisplayName: "lib", Summary: "a library", HomePage: "https://lib.example", SourceCodeRepository: "https://git.example/lib", Readme: "# " + v,
				Licenses: []packages.License{{Name: "MIT"}}, Dependencies: []packages.Dependency{{Namespace: "acme", Package: "dep", Type: "dev", VersionRequirement: "^1"}},
			},
		}, map[string]string{"b": v, "a": "same"})
	}
	list := func(in sdk.ListPackageVersionsInput) (out []string, def string) {
		in.Domain, in.Repository, in.Package, in.Format, in.MaxResults = domain, repo, pkg, types.PackageFormatNpm, aws.Int32(2)
		for p := sdk.NewListPackageVersionsPaginator(s.admin, &in); p.HasMorePages(); {
			page := get[*sdk.ListPackageVersionsOutput](t)(p.NextPage(ctx))
			def = aws.ToString(page.DefaultDisplayVersion)
			for _, v := range page.Versions {
				if *v.Origin.DomainEntryPoint.RepositoryName != "store" || v.Origin.OriginType != types.PackageVersionOriginTypeInternal {
					t.Fatalf("%+v", v.Origin)
				}
				out = append(out, *v.Version)
			}
		}
		return out, def
	}
	if got, def := list(sdk.ListPackageVersionsInput{}); fmt.Sprint(got) != "[2.0.0-rc.1 1.10.0 1.9.0]" || def != "1.10.0" {
		t.Fatal(got, def)
	}
	if got, _ := list(sdk.ListPackageVersionsInput{SortBy: types.PackageVersionSortTypePublishedTime}); fmt.Sprint(got) != "[1.10.0 2.0.0-rc.1 1.9.0]" {
		t.Fatal(got)
	}
	archive := func(versions ...string) *sdk.UpdatePackageVersionsStatusOutput {
		return get[*sdk.UpdatePackageVersionsStatusOutput](t)(s.admin.UpdatePackageVersionsStatus(ctx, &sdk.UpdatePackageVersionsStatusInput{
			Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, Versions: versions, TargetStatus: types.PackageVersionStatusArchived,
		}))
	}
	if out := archive("1.9.0", "7.0.0"); len(out.SuccessfulVersions) != 0 || out.FailedVersions["7.0.0"].ErrorCode != types.PackageVersionErrorCodeNotFound ||
		out.FailedVersions["1.9.0"].ErrorCode != types.PackageVersionErrorCodeSkipped {
		t.Fatalf("%+v", out)
	}
	if out := archive("1.9.0"); out.SuccessfulVersions["1.9.0"].Status != types.PackageVersionStatusArchived {
		t.Fatalf("%+v", out)
	}
	if got, _ := list(sdk.ListPackageVersionsInput{Status: types.PackageVersionStatusArchived}); fmt.Sprint(got) != "[1.9.0]" {
		t.Fatal(got)
	}
	if got, _ := list(sdk.ListPackageVersionsInput{OriginType: types.PackageVersionOriginTypeExternal}); len(got) != 0 {
		t.Fatal(got)
	}
	d := get[*sdk.DescribePackageVersionOutput](t)(s.admin.DescribePackageVersion(ctx, &sdk.DescribePackageVersionInput{
		Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, PackageVersion: aws.String("1.10.0"),
	})).PackageVersion
	if *d.DisplayName != "lib" || *d.Summary != "a library" || *d.HomePage != "https://lib.example" || *d.SourceCodeRepository != "https://git.example/lib" ||
		*d.Licenses[0].Name != "MIT" || d.Status != types.PackageVersionStatusPublished || d.PublishedTime.IsZero() || *d.Version != "1.10.0" || d.Namespace != nil {
		t.Fatalf("%+v", d)
	}
	readme := get[*sdk.GetPackageVersionReadmeOutput](t)(s.admin.GetPackageVersionReadme(ctx, &sdk.GetPackageVersionReadmeInput{
		Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, PackageVersion: aws.String("1.10.0"),
	}))
	if *readme.Readme != "# 1.10.0" || *readme.VersionRevision != *d.Revision {
		t.Fatalf("%+v", readme)
	}
	deps := get[*sdk.ListPackageVersionDependenciesOutput](t)(s.admin.ListPackageVersionDependencies(ctx, &sdk.ListPackageVersionDependenciesInput{
		Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, PackageVersion: aws.String("1.10.0"),
	})).Dependencies
	if len(deps) != 1 || *deps[0].Package != "dep" || *deps[0].Namespace != "acme" || *deps[0].DependencyType != "dev" || *deps[0].VersionRequirement != "^1" {
		t.Fatalf("%+v", deps)
	}
	gone := get[*sdk.DisposePackageVersionsOutput](t)(s.admin.DisposePackageVersions(ctx, &sdk.DisposePackageVersionsInput{
		Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, Versions: []string{"1.9.0"},
	}))
	if gone.SuccessfulVersions["1.9.0"].Status != types.PackageVersionStatusDisposed {
		t.Fatalf("%+v", gone)
	}
	del := get[*sdk.DeletePackageVersionsOutput](t)(s.admin.DeletePackageVersions(ctx, &sdk.DeletePackageVersionsInput{
		Domain: domain, Repository: repo, Package: pkg, Format: types.PackageFormatNpm, Versions: []string{"1.9.0", "1.10.0"}, ExpectedStatus: types.PackageVersionStatusPublished,
	}))
	if del.SuccessfulVersions["1.10.0"].Status != types.PackageVersionStatusDeleted || del.FailedVersions["1.9.0"].ErrorCode != types.PackageVersionErrorCodeMismatchedStatus {
		t.Fatalf("%+v", del)
	}
}

func TestAssets(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("store")
	ctx, domain, repo, pkg, version := t.Context(), aws.String("acme"), aws.String("store"), aws.String("lib"), aws.String("1.0")
	content := strings.Repeat("content ", 10_000)
	s.publish(packages.Publication{Repository: acme.Repository("store"), Package: packages.PackageID{Format: packages.PyPI, Name: "lib"}, Version: "1.0"},
		map[string]string{"c.whl": "hello", "a.whl": content, "b.whl": "b"})
	var names []string
	for p := sdk.NewListPackageVersionAssetsPaginator(s.admin, &sdk.ListPackageVersionAssetsInput{
		Domain: domain, Repository: repo, Package: pkg, PackageVersion: version, Format: types.PackageFormatPypi, MaxResults: aws.Int32(2),
	}); p.HasMorePages(); {
		for _, a := range get[*sdk.ListPackageVersionAssetsOutput](t)(p.NextPage(ctx)).Assets {
			names = append(names, *a.Name)
			if *a.Name == "c.whl" && (*a.Size != 5 || a.Hashes["MD5"] != "5d41402abc4b2a76b9719d911017c592" || a.Hashes["SHA-1"] != "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" ||
				!strings.HasPrefix(a.Hashes["SHA-256"], "2cf24dba") || !strings.HasPrefix(a.Hashes["SHA-512"], "9b71d224")) {
				t.Fatalf("%+v", a)
			}
		}
	}
	if fmt.Sprint(names) != "[a.whl b.whl c.whl]" {
		t.Fatal(names)
	}
	in := &sdk.GetPackageVersionAssetInput{Domain: domain, Repository: repo, Package: pkg, PackageVersion: version, Format: types.PackageFormatPypi, Asset: aws.String("a.whl")}
	out := get[*sdk.GetPackageVersionAssetOutput](t)(s.admin.GetPackageVersionAsset(ctx, in))
	defer out.Asset.Close()
	b, err := io.ReadAll(out.Asset)
	if err != nil || string(b) != content || *out.AssetName != "a.whl" || *out.PackageVersion != "1.0" || aws.ToString(out.PackageVersionRevision) == "" {
		t.Fatalf("%d bytes, %v, %+v", len(b), err, out)
	}
	in.PackageVersionRevision = aws.String("stale")
	_, err = s.admin.GetPackageVersionAsset(ctx, in)
	fails[*types.ResourceNotFoundException](t, err, 404, "revision")
	in.PackageVersionRevision, in.Asset = nil, aws.String("none")
	_, err = s.admin.GetPackageVersionAsset(ctx, in)
	if e := fails[*types.ResourceNotFoundException](t, err, 404, "Asset not found"); e.ResourceType != types.ResourceTypeAsset {
		t.Fatalf("%+v", e)
	}
}

// Every operation of the model is served.
func TestRegister_Whole(t *testing.T) {
	service, err := wire.New("codeartifact", wire.Options{Authenticate: func(r *http.Request, _ string, _ []byte) (context.Context, error) { return r.Context(), nil }})
	must(t, err)
	codeartifactapi.Register(service, codeartifactapi.New(codeartifactapi.Config{}))
	for _, op := range service.Operations() {
		if !service.Handled(op) {
			t.Errorf("%s is not served", op)
		}
	}
	if n := len(service.Operations()); n != 48 {
		t.Errorf("the model has %d operations", n)
	}
}

func TestExternalConnections(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("app")
	domain, repo, npmjs := aws.String("acme"), aws.String("app"), aws.String("public:npmjs")
	_, err := s.admin.AssociateExternalConnection(t.Context(), &sdk.AssociateExternalConnectionInput{Domain: domain, Repository: repo, ExternalConnection: aws.String("public:example")})
	fails[*types.ValidationException](t, err, 400, "public:npmjs")
	in := &sdk.AssociateExternalConnectionInput{Domain: domain, Repository: repo, ExternalConnection: npmjs}
	r := get[*sdk.AssociateExternalConnectionOutput](t)(s.admin.AssociateExternalConnection(t.Context(), in)).Repository
	c := r.ExternalConnections
	if len(c) != 1 || *c[0].ExternalConnectionName != "public:npmjs" || c[0].PackageFormat != types.PackageFormatNpm || c[0].Status != types.ExternalConnectionStatusAvailable {
		t.Fatalf("%+v", c)
	}
	_, err = s.admin.AssociateExternalConnection(t.Context(), in)
	fails[*types.ConflictException](t, err, 409, "already")
	r = get[*sdk.DisassociateExternalConnectionOutput](t)(s.admin.DisassociateExternalConnection(t.Context(), &sdk.DisassociateExternalConnectionInput{Domain: domain, Repository: repo, ExternalConnection: npmjs})).Repository
	if len(r.ExternalConnections) != 0 {
		t.Fatalf("%+v", r.ExternalConnections)
	}
}

func TestAPI_UnknownOperation(t *testing.T) {
	s := serve(t)
	res, err := http.Post(s.url+"/v1/nothing", "application/json", nil)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != 404 || res.Header.Get("X-Amzn-Errortype") != "UnknownOperationException" {
		t.Fatal(res.StatusCode, res.Header)
	}
}

func TestAPI_UnknownKey(t *testing.T) {
	s := serve(t)
	clear(s.callers)
	_, err := s.admin.ListDomains(t.Context(), &sdk.ListDomainsInput{})
	if e := fails[smithy.APIError](t, err, 403, "security token"); e.ErrorCode() != "UnrecognizedClientException" {
		t.Fatal(e.ErrorCode())
	}
}
