package operator_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/client/operator"
	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

func config(endpoint string) aws.Config {
	return aws.Config{Region: "eu-central-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "token")}
}

func TestNew_Incomplete(t *testing.T) {
	if _, err := operator.New(aws.Config{Region: "eu-central-1"}, time.Now); !errors.Is(err, operator.ErrNoEndpoint) {
		t.Errorf("without an endpoint: %v", err)
	}
	if _, err := operator.New(aws.Config{BaseEndpoint: aws.String("http://127.0.0.1")}, time.Now); !errors.As(err, new(*aws.MissingRegionError)) {
		t.Errorf("without a region: %v", err)
	}
}

func TestClient(t *testing.T) {
	answers := map[string]struct {
		status int
		body   string
		check  func(*operatormodel.GetServerInfoOutput, error) bool
	}{
		"an answer": {200, `{"version":"1","startedAt":1234567890.5,"newMember":1}`, func(out *operatormodel.GetServerInfoOutput, err error) bool {
			return err == nil && out.Version == "1" && out.StartedAt.Equal(time.UnixMilli(1234567890500))
		}},
		"an error": {400, `{"__type":"AccessDeniedException","message":"no"}`, func(_ *operatormodel.GetServerInfoOutput, err error) bool {
			var api smithy.APIError
			return errors.As(err, &api) && api.ErrorCode() == "AccessDeniedException" && api.ErrorMessage() == "no"
		}},
		"another server": {404, `<html>`, func(_ *operatormodel.GetServerInfoOutput, err error) bool {
			return err != nil && strings.Contains(err.Error(), "check the address")
		}},
		"not JSON": {200, `<html>`, func(_ *operatormodel.GetServerInfoOutput, err error) bool { return err != nil }},
		"too much": {200, `{"version":"` + strings.Repeat("x", 17<<20) + `"}`, func(_ *operatormodel.GetServerInfoOutput, err error) bool {
			return err != nil && strings.Contains(err.Error(), "larger")
		}},
	}
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a := r.Header.Get("Authorization")
				if r.Header.Get("X-Amz-Target") != "Gatehouse_20261130.GetServerInfo" || !strings.Contains(a, "/eu-central-1/gatehouse/aws4_request") || r.Header.Get("X-Amz-Security-Token") != "token" {
					t.Errorf("header %v", r.Header)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			client, err := operator.New(config(s.URL), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := client.GetServerInfo(t.Context(), &operatormodel.GetServerInfoInput{}); !c.check(out, err) {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}
