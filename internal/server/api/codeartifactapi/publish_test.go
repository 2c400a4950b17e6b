package codeartifactapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
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
