package wire

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var createRepository = []byte(`{"repositoryName":"team/service/app","imageTagMutability":"IMMUTABLE","imageScanningConfiguration":{"scanOnPush":true},"encryptionConfiguration":{"encryptionType":"AES256"},"tags":[{"Key":"team","Value":"blue"},{"Key":"cost-center","Value":"1234"}]}`)

func BenchmarkDecodeJSON(b *testing.B) {
	typ := reflect.TypeFor[ecr.CreateRepositoryInput]()
	n := planOf(b, newService(b, "ecr", Options{}), "CreateRepository", typ)
	for _, validated := range []string{"CreateRepository", "CreateRepositoryValidated"} {
		b.Run(validated, func(b *testing.B) {
			b.ReportAllocs()
			var buf bytes.Buffer
			for b.Loop() {
				buf.Reset()
				buf.Write(createRepository)
				v := reflect.ValueOf(new(ecr.CreateRepositoryInput)).Elem()
				err := readJSON(&buf, n, v)
				if validated != "CreateRepository" && err == nil {
					err = validate(n, v)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeForm(b *testing.B) {
	typ := reflect.TypeFor[sts.AssumeRoleInput]()
	n := planOf(b, newService(b, "sts", Options{}), "AssumeRole", typ)
	body := "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fr&RoleSessionName=s1&DurationSeconds=900&Tags.member.1.Key=team&Tags.member.1.Value=blue"
	b.ReportAllocs()
	for b.Loop() {
		f, err := parseForm("", body)
		if err != nil {
			b.Fatal(err)
		}
		v := reflect.ValueOf(new(sts.AssumeRoleInput)).Elem()
		r := formReader{form: f, path: make([]byte, 0, 128)}
		if err := r.structure(n, v); err != nil {
			b.Fatal(err)
		}
		if err := validate(n, v); err != nil {
			b.Fatal(err)
		}
	}
}

// images is an answer of 100 images.
func images() *ecr.DescribeImagesOutput {
	out, at := &ecr.DescribeImagesOutput{}, time.Unix(1_700_000_000, 5e8)
	for i := range 100 {
		out.ImageDetails = append(out.ImageDetails, ecrtypes.ImageDetail{
			RegistryId: aws.String("111122223333"), RepositoryName: aws.String("team/service/app"),
			ImageDigest: aws.String("sha256:" + strings.Repeat("0123456789abcdef", 4)), ImageTags: []string{fmt.Sprint("v1.", i), "latest"},
			ImageSizeInBytes: aws.Int64(123456789), ImagePushedAt: &at, LastRecordedPullTime: &at,
			ImageManifestMediaType: aws.String("application/vnd.oci.image.manifest.v1+json"),
		})
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	n, err := newService(b, "ecr", Options{}).planner.plan("DescribeImagesResponse", reflect.TypeFor[ecr.DescribeImagesOutput]())
	if err != nil {
		b.Fatal(err)
	}
	v := reflect.ValueOf(images()).Elem()
	for name, encode := range map[string]func([]byte) []byte{
		"JSON": func(buf []byte) []byte { return appendJSON(buf, n, v) },
		"XML":  func(buf []byte) []byte { return appendXML(buf, "X", n, v) },
	} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = encode(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

// discard is a response that is not read.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkServe serves the token operations through the mux, without HTTP and
// without a signature.
func BenchmarkServe(b *testing.B) {
	e, c, s := newService(b, "ecr", Options{}), newService(b, "codeartifact", Options{}), newService(b, "sts", Options{})
	token, expires := strings.Repeat("t", 300), time.Unix(1_700_000_000, 0)
	Handle(e, func(context.Context, *ecr.GetAuthorizationTokenInput) (*ecr.GetAuthorizationTokenOutput, error) {
		return &ecr.GetAuthorizationTokenOutput{AuthorizationData: []ecrtypes.AuthorizationData{{
			AuthorizationToken: &token, ExpiresAt: &expires, ProxyEndpoint: aws.String("https://registry.example"),
		}}}, nil
	})
	Handle(c, func(context.Context, *codeartifact.GetAuthorizationTokenInput) (*codeartifact.GetAuthorizationTokenOutput, error) {
		return &codeartifact.GetAuthorizationTokenOutput{AuthorizationToken: &token, Expiration: &expires}, nil
	})
	Handle(s, func(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
		return &sts.GetCallerIdentityOutput{Account: aws.String("111122223333"), Arn: aws.String("arn:aws:iam::111122223333:root"), UserId: aws.String("111122223333")}, nil
	})
	mux := NewMux(e, c, s)
	for _, bench := range []struct{ name, path, target, body string }{
		{"ECRGetAuthorizationToken", "/", target + "GetAuthorizationToken", "{}"},
		{"CodeArtifactGetAuthorizationToken", "/v1/authorization-token?domain=my-domain&domain-owner=111122223333&duration=900", "", ""},
		{"GetCallerIdentity", "/", "", "Action=GetCallerIdentity&Version=2011-06-15"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPost, bench.path, nil)
			if bench.target != "" {
				r.Header.Set("X-Amz-Target", bench.target)
			}
			body, w := strings.NewReader(""), discard{http.Header{}}
			r.Body, r.ContentLength = http.NoBody, int64(len(bench.body))
			b.ReportAllocs()
			for b.Loop() {
				if bench.body != "" {
					body.Reset(bench.body)
					r.Body = readCloser{body}
				}
				mux.ServeHTTP(w, r)
			}
		})
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
