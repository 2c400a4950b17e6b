package operatorapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// lib is the repository of these tests.
var lib = packages.DomainID{Owner: iamtest.Account, Region: iamtest.Region, Name: "acme"}.Repository("lib")

// adminContext returns a context with the first account's admin, for calls of the store.
func (f *fixture) adminContext() context.Context {
	ctx := f.AsAdmin()
	authn.FromContext(ctx).Region = iamtest.Region
	return ctx
}

// createRepository creates lib.
func (f *fixture) createRepository() {
	f.t.Helper()
	ctx := f.adminContext()
	if _, err := f.store.CreateDomain(ctx, packages.NewDomain{ID: lib.Domain}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.store.CreateRepository(ctx, packages.NewRepository{ID: lib}); err != nil {
		f.t.Fatal(err)
	}
}

// publish publishes a version with one asset.
func (f *fixture) publish(id packages.PackageID, version string) {
	f.t.Helper()
	ctx := f.adminContext()
	staged, err := f.store.Stage(ctx, lib, id, strings.NewReader(version), 1<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	p := packages.Publication{Repository: lib, Package: id, Version: version, Assets: []packages.StagedAsset{{Name: "package.tgz", Content: staged}}}
	if _, err := f.store.Publish(ctx, p); err != nil {
		f.t.Fatal(err)
	}
}

// download downloads the asset of a version.
func (f *fixture) download(id packages.PackageID, version string) {
	f.t.Helper()
	asset, content, err := f.store.OpenAsset(f.adminContext(), lib, id, version, "package.tgz")
	if err != nil {
		f.t.Fatal(err)
	}
	content.Close()
	asset.RecordDownload()
}

func TestListPackageStatistics(t *testing.T) {
	f := serve(t)
	f.createRepository()
	ui, core := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "ui"}, packages.PackageID{Format: packages.Maven, Namespace: "com.acme", Name: "core"}
	for _, version := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		f.publish(ui, version)
	}
	f.publish(core, "1.0")
	f.download(ui, "2.0.0")
	f.download(ui, "2.0.0")
	f.download(ui, "1.0.0")

	in := &operatormodel.ListPackageStatisticsInput{RepositoryName: libName, MaxResults: aws.Int32(1)}
	all := map[string]operatormodel.PackageStatistics{}
	for more := true; more; more = in.NextToken != nil {
		page, err := f.admin().ListPackageStatistics(t.Context(), in)
		if err != nil || len(page.Packages) != 1 {
			t.Fatal(page, err)
		}
		all[page.Packages[0].Package], in.NextToken = page.Packages[0], page.NextToken
	}
	if p := all["ui"]; p.Format != "npm" || aws.ToString(p.Namespace) != "acme" || p.VersionCount != 3 || p.Downloads != 3 || p.LastDownloadAt == nil {
		t.Errorf("ui: %+v", p)
	}
	if p := all["core"]; p.VersionCount != 1 || p.Downloads != 0 || p.LastDownloadAt != nil {
		t.Errorf("core: %+v", p)
	}

	in = &operatormodel.ListPackageStatisticsInput{
		RepositoryName: libName, Format: aws.String("npm"), Namespace: aws.String("acme"), Package: aws.String("ui"), MaxResults: aws.Int32(2),
	}
	var versions []operatormodel.VersionStatistics
	for more := true; more; more = in.NextToken != nil {
		page, err := f.admin().ListPackageStatistics(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		versions, in.NextToken = append(versions, page.Versions...), page.NextToken
	}
	if len(versions) != 3 || versions[0].Downloads != 1 || versions[1].Downloads != 2 || versions[1].Version != "2.0.0" || versions[2].LastDownloadAt != nil {
		t.Errorf("versions: %+v", versions)
	}

	in.NextToken = aws.String("x")
	_, err := f.admin().ListPackageStatistics(t.Context(), in)
	wantCode(t, err, "InvalidParameterException")
	in.NextToken, in.Package = nil, nil
	_, err = f.admin().ListPackageStatistics(t.Context(), in)
	wantCode(t, err, "InvalidParameterException")
	_, err = f.admin().ListPackageStatistics(t.Context(), &operatormodel.ListPackageStatisticsInput{RepositoryName: operatormodel.RepositoryName{Domain: "acme", Repository: "other"}})
	wantCode(t, err, "ResourceNotFoundException")
}
