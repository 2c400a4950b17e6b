package codeartifactapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

func TestPublishPackageVersion(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("store")
	content := bytes.Repeat([]byte("content"), 100_000) // more than the API reads of a body that does not stream
	sum := sha256.Sum256(content)
	in := &sdk.PublishPackageVersionInput{
		Domain: aws.String("acme"), Repository: aws.String("store"), Format: types.PackageFormatGeneric, Namespace: aws.String("tools"), Package: aws.String("cli"),
		PackageVersion: aws.String("1.0"), AssetName: aws.String("cli.tgz"), AssetSHA256: aws.String(hex.EncodeToString(sum[:])),
		AssetContent: bytes.NewReader(content), Unfinished: aws.Bool(true),
	}
	out := get[*sdk.PublishPackageVersionOutput](t)(s.admin.PublishPackageVersion(t.Context(), in))
	if out.Status != types.PackageVersionStatusUnfinished || *out.Namespace != "tools" || *out.Package != "cli" || *out.Version != "1.0" || *out.VersionRevision == "" {
		t.Fatalf("%+v", out)
	}
	if a := out.Asset; *a.Name != "cli.tgz" || *a.Size != int64(len(content)) || a.Hashes["SHA-256"] != *in.AssetSHA256 || len(a.Hashes) != 4 {
		t.Fatalf("%+v", a)
	}
	in.AssetContent, in.Unfinished = bytes.NewReader(content), nil
	if out := get[*sdk.PublishPackageVersionOutput](t)(s.admin.PublishPackageVersion(t.Context(), in)); out.Status != types.PackageVersionStatusPublished {
		t.Fatalf("%+v", out)
	}
	in.AssetContent = bytes.NewReader(content[1:])
	_, err := s.admin.PublishPackageVersion(t.Context(), in)
	fails[*types.ValidationException](t, err, 400, "SHA-256")
	in.AssetContent, in.Format = bytes.NewReader(content), types.PackageFormatNpm
	_, err = s.admin.PublishPackageVersion(t.Context(), in)
	fails[*types.ValidationException](t, err, 400, "generic")
}

func TestCopyPackageVersions(t *testing.T) {
	s := serve(t)
	s.domain()
	s.repository("base")
	s.repository("store")
	lib := packages.PackageID{Format: packages.NPM, Namespace: "acme", Name: "lib"}
	for _, version := range []string{"1.0.0", "2.0.0"} {
		s.publish(packages.Publication{Repository: acme.Repository("base"), Package: lib, Version: version}, map[string]string{"a": version})
	}
	in := &sdk.CopyPackageVersionsInput{
		Domain: aws.String("acme"), SourceRepository: aws.String("base"), DestinationRepository: aws.String("store"),
		Format: types.PackageFormatNpm, Namespace: aws.String("acme"), Package: aws.String("lib"), Versions: []string{"1.0.0", "3.0.0"},
	}
	out := get[*sdk.CopyPackageVersionsOutput](t)(s.admin.CopyPackageVersions(t.Context(), in))
	if len(out.SuccessfulVersions) != 0 || out.FailedVersions["3.0.0"].ErrorCode != types.PackageVersionErrorCodeNotFound ||
		out.FailedVersions["1.0.0"].ErrorCode != types.PackageVersionErrorCodeSkipped || *out.FailedVersions["1.0.0"].ErrorMessage != "Version 1.0.0 was skipped" {
		t.Fatalf("%+v", out)
	}
	in.Versions = []string{"1.0.0", "2.0.0"}
	out = get[*sdk.CopyPackageVersionsOutput](t)(s.admin.CopyPackageVersions(t.Context(), in))
	if len(out.FailedVersions) != 0 || out.SuccessfulVersions["2.0.0"].Status != types.PackageVersionStatusPublished || *out.SuccessfulVersions["2.0.0"].Revision == "" {
		t.Fatalf("%+v", out)
	}
	in.VersionRevisions = map[string]string{"1.0.0": "r"}
	_, err := s.admin.CopyPackageVersions(t.Context(), in)
	fails[*types.ValidationException](t, err, 400, "versionRevisions")
}
