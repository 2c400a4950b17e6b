package oci_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/gatehouse-registry/gatehouse/internal/server/images"
)

func TestHandler_Audit(t *testing.T) {
	r := newRegistry(t)
	r.create(t, account, "app", images.Settings{})
	c := r.client(t, "admin").in("app")
	body := c.manifest(nil)
	d := c.pushManifest("v1", body)
	layer := digest.FromString("a layer")
	upload := c.start("")
	uploadID := upload[strings.LastIndexByte(upload, '/')+1:]

	app := `"registryId":"000000000001","repositoryName":"app"`
	for _, test := range []struct {
		method, path, body string
		event, parameters  string
		code               string
	}{
		{"GET", "/v2/", "", "Ping", `null`, ""},
		{"GET", "manifests/v1", "", "BatchGetImage", `{` + app + `,"imageTag":"v1"}`, ""},
		{"HEAD", "manifests/" + d.String(), "", "BatchGetImage", `{` + app + `,"imageDigest":"` + d.String() + `"}`, ""},
		{"GET", "manifests/absent", "", "BatchGetImage", `{` + app + `,"imageTag":"absent"}`, "ImageNotFound"},
		{"GET", "blobs/" + layer.String(), "", "GetDownloadUrlForLayer", `{` + app + `,"layerDigest":"` + layer.String() + `"}`, ""},
		{"HEAD", "blobs/" + layer.String(), "", "BatchCheckLayerAvailability", `{` + app + `,"layerDigest":"` + layer.String() + `"}`, ""},
		{"POST", "blobs/uploads/", "", "InitiateLayerUpload", `{` + app + `}`, ""},
		{"PATCH", upload, "x", "UploadLayerPart", `{` + app + `,"uploadId":"` + uploadID + `"}`, ""},
		{"PUT", upload + "?digest=" + digest.FromString("x").String(), "", "CompleteLayerUpload", `{` + app + `,"uploadId":"` + uploadID + `"}`, ""},
		{"PUT", "manifests/v2", string(body), "PutImage", `{` + app + `,"imageTag":"v2"}`, ""},
		{"DELETE", "manifests/v2", "", "BatchDeleteImage", `{` + app + `,"imageTag":"v2"}`, ""},
		{"GET", "tags/list", "", "ListImages", `{` + app + `}`, ""},
		{"GET", "referrers/" + d.String(), "", "ListImageReferrers", `{` + app + `,"imageDigest":"` + d.String() + `"}`, ""},
		{"GET", "/v2/_catalog", "", "DescribeRepositories", `{"registryId":"000000000001"}`, ""},
		{"GET", "/v2/no/such/tags/list", "", "ListImages", `{"registryId":"000000000001","repositoryName":"no/such"}`, "RepositoryNotFound"},
	} {
		c.do(test.method, test.path, strings.NewReader(test.body))
		rec := r.trail.last()
		parameters, err := json.Marshal(rec.RequestParameters)
		if err != nil {
			t.Fatal(err)
		}
		if rec.EventSource != "ecr.amazonaws.com" || rec.EventName != test.event || string(parameters) != test.parameters || rec.ErrorCode != test.code {
			t.Errorf("%s %s: %s %s %s %s", test.method, test.path, rec.EventSource, rec.EventName, parameters, rec.ErrorCode)
		}
		if rec.UserIdentity.ARN != "arn:aws:iam::000000000001:user/admin" {
			t.Errorf("%s %s: caller %+v", test.method, test.path, rec.UserIdentity)
		}
	}

	c.password = "garbage"
	c.do("GET", "manifests/v1", nil).want(401)
	if rec := r.trail.last(); rec.EventName != "BatchGetImage" || rec.ErrorCode != "InvalidToken" || rec.UserIdentity.ARN != "" {
		t.Errorf("refused: %+v", rec)
	}
}
