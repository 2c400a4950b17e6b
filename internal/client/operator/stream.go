package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// emptySHA256 is the SHA-256 of nothing.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// ExportPackageVersion returns the record of a version.
func (c *Client) ExportPackageVersion(ctx context.Context, in *operatormodel.ExportPackageVersionInput) (*operatormodel.ExportPackageVersionOutput, error) {
	return call[operatormodel.ExportPackageVersionOutput](ctx, c, in)
}

// GetExportedFile opens a file of a version. The caller closes it.
func (c *Client) GetExportedFile(ctx context.Context, in *operatormodel.GetExportedFileInput) (io.ReadCloser, error) {
	q := versionQuery(in.Domain, in.DomainOwner, in.Repository, in.Format, in.Namespace, in.Package, in.PackageVersion)
	q.Set("file", in.File)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address(operatormodel.ExportedFilePath, q), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.stream(ctx, "GetExportedFile", r, emptySHA256)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// ImportPackageVersion adds a version. The content has the size and the SHA-256, in hex.
func (c *Client) ImportPackageVersion(ctx context.Context, in *operatormodel.ImportPackageVersionInput, size int64, sha256 string) (*operatormodel.ImportPackageVersionOutput, error) {
	q := versionQuery(in.Domain, in.DomainOwner, in.Repository, in.Format, in.Namespace, in.Package, in.PackageVersion)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address(operatormodel.ImportedVersionPath, q), in.Content)
	if err != nil {
		return nil, err
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", "application/x-tar")
	res, err := c.stream(ctx, "ImportPackageVersion", r, sha256)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out := new(operatormodel.ImportPackageVersionOutput)
	if err := json.UnmarshalRead(io.LimitReader(res.Body, maxAnswer), out); err != nil {
		return nil, fmt.Errorf("ImportPackageVersion: the answer of %s cannot be read: %w", c.Endpoint(), err)
	}
	return out, nil
}

func versionQuery(domain string, owner *string, repository, format string, namespace *string, pkg, version string) url.Values {
	q := url.Values{"domain": {domain}, "repository": {repository}, "format": {format}, "package": {pkg}, "packageVersion": {version}}
	if owner != nil {
		q.Set("domainOwner", *owner)
	}
	if namespace != nil {
		q.Set("namespace", *namespace)
	}
	return q
}

// address encodes a space as %20, as signatures need it.
func (c *Client) address(path string, q url.Values) string {
	return strings.TrimSuffix(c.Endpoint(), "/") + path + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// stream signs and sends a request of an operation that streams. The caller closes the
// body of the answer.
func (c *Client) stream(ctx context.Context, operation string, r *http.Request, sha256 string) (*http.Response, error) {
	failed := func(err error) error {
		return &smithy.OperationError{ServiceID: operatormodel.Service, OperationName: operation, Err: err}
	}
	credentials, err := c.credentials(ctx)
	if err != nil {
		return nil, failed(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", sha256)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, sha256, operatormodel.Service, c.cfg.Region, c.now()); err != nil {
		return nil, failed(err)
	}
	client := c.cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, failed(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, failed(err)
	}
	return nil, failed(streamError(res, text))
}

// streamError is the error in an answer of restJson1.
func streamError(res *http.Response, body []byte) error {
	code, _, _ := strings.Cut(res.Header.Get("X-Amzn-Errortype"), ":")
	if code == "" {
		return answerError(res, body)
	}
	var e struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return errors.Join(fmt.Errorf("the endpoint answered %s", res.Status), err)
	}
	f := smithy.FaultClient
	if res.StatusCode >= http.StatusInternalServerError {
		f = smithy.FaultServer
	}
	return &smithy.GenericAPIError{Code: code, Message: e.Message, Fault: f}
}
