// Package operator is the client of Gatehouse's own API for those who run an
// installation, which package operatormodel describes. It signs with the caller's AWS
// credentials, as the SDK's clients do, so whoever may operate a server needs no other
// credentials than those of IAM.
//
//	client, err := operator.New(cfg)
//	info, err := client.GetServerInfo(ctx, &operatormodel.GetServerInfoInput{})
//
// Each operation is one method of [Client]. To add one, declare its structs in package
// operatormodel and write its method here.
package operator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// maxAnswer bounds an answer in bytes.
const maxAnswer = 16 << 20

// ErrNoEndpoint means that no endpoint is configured. AWS has none for this service.
var ErrNoEndpoint = errors.New("no endpoint: AWS does not have this service, so set --endpoint-url, AWS_ENDPOINT_URL, or endpoint_url in the profile to the address of a Gatehouse server")

// A Client calls the operator API of one endpoint.
type Client struct {
	cfg aws.Config
	now func() time.Time
}

// New returns a client that uses the endpoint, the region, the credentials and the
// HTTP client of an SDK configuration. now is the clock of signatures. The errors are
// [ErrNoEndpoint] and *aws.MissingRegionError.
func New(cfg aws.Config, now func() time.Time) (*Client, error) {
	if aws.ToString(cfg.BaseEndpoint) == "" {
		return nil, ErrNoEndpoint
	}
	if cfg.Region == "" {
		return nil, &aws.MissingRegionError{}
	}
	return &Client{cfg, now}, nil
}

// Endpoint returns the address that the client calls.
func (c *Client) Endpoint() string { return aws.ToString(c.cfg.BaseEndpoint) }

// GetServerInfo describes the server that answers.
func (c *Client) GetServerInfo(ctx context.Context, in *operatormodel.GetServerInfoInput) (*operatormodel.GetServerInfoOutput, error) {
	return call[operatormodel.GetServerInfoOutput](ctx, c, in)
}

// ListKeys describes the keys of the keyring.
func (c *Client) ListKeys(ctx context.Context, in *operatormodel.ListKeysInput) (*operatormodel.ListKeysOutput, error) {
	return call[operatormodel.ListKeysOutput](ctx, c, in)
}

// RetireKey ends what a key of the keyring has sealed.
func (c *Client) RetireKey(ctx context.Context, in *operatormodel.RetireKeyInput) (*operatormodel.RetireKeyOutput, error) {
	return call[operatormodel.RetireKeyOutput](ctx, c, in)
}

// RotateKeys makes a new key of the keyring active.
func (c *Client) RotateKeys(ctx context.Context, in *operatormodel.RotateKeysInput) (*operatormodel.RotateKeysOutput, error) {
	return call[operatormodel.RotateKeysOutput](ctx, c, in)
}

// call calls the operation whose input struct is I. An error that the server answers
// with is a smithy.APIError.
func call[O, I any](ctx context.Context, c *Client, in *I) (*O, error) {
	operation := strings.TrimSuffix(reflect.TypeFor[I]().Name(), "Input")
	body, err := json.Marshal(in, timeFormat)
	if err != nil {
		return nil, err
	}
	answer, err := c.send(ctx, operation, body)
	if err != nil {
		return nil, &smithy.OperationError{ServiceID: operatormodel.Service, OperationName: operation, Err: err}
	}
	out := new(O)
	if err := json.Unmarshal(answer, out, timeFormat); err != nil {
		return nil, fmt.Errorf("%s: the answer of %s cannot be read: %w", operation, c.Endpoint(), err)
	}
	return out, nil
}

// send sends a signed request, and returns the body of the answer.
func (c *Client) send(ctx context.Context, operation string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint(), "/")+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", operatormodel.ContentType)
	r.Header.Set("X-Amz-Target", operatormodel.TargetPrefix+"."+operation)
	credentials, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), operatormodel.Service, c.cfg.Region, c.now()); err != nil {
		return nil, err
	}
	client := c.cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case response.StatusCode != http.StatusOK:
		return nil, answerError(response, answer)
	}
	return answer, nil
}

func (c *Client) credentials(ctx context.Context) (aws.Credentials, error) {
	if c.cfg.Credentials == nil {
		return aws.Credentials{}, errors.New("the AWS configuration names no credentials")
	}
	return c.cfg.Credentials.Retrieve(ctx)
}

// answerError is the error in an answer: a smithy.APIError if it has the form of the
// protocol.
func answerError(response *http.Response, body []byte) error {
	var e struct {
		Code    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Code == "" {
		return fmt.Errorf("the endpoint answered %s, and not as a Gatehouse server does: check the address", response.Status)
	}
	f := smithy.FaultClient
	if response.StatusCode >= http.StatusInternalServerError {
		f = smithy.FaultServer
	}
	return &smithy.GenericAPIError{Code: e.Code, Message: e.Message, Fault: f}
}
