package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/api"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/iamapi"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/iamtest"
)

// A departed client sends its requests to a handler and is gone before it is answered.
type departed struct {
	handler http.Handler
	status  int
}

func (d *departed) Do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	w := httptest.NewRecorder()
	r.Host = r.URL.Host
	d.handler.ServeHTTP(w, r.WithContext(ctx))
	d.status = w.Code
	return w.Result(), nil
}

// A client that leaves is not a failure of the server: no 5xx and no error in the log.
func TestMiddleware_ClientLeft(t *testing.T) {
	w := iamtest.New(t)
	var log bytes.Buffer
	m := &api.Middleware{Authn: w.Authn, Log: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := wire.New("iam", m.Options("iam", iamapi.MapError))
	if err != nil {
		t.Fatal(err)
	}
	iamapi.Register(s, iamapi.New(iamapi.Config{IAM: w.IAM}))
	config, client := w.Serve(s), &departed{handler: wire.NewMux(s)}
	config.HTTPClient = client
	if _, err := iam.NewFromConfig(config).CreateUser(t.Context(), &iam.CreateUserInput{UserName: new("u")}); err == nil {
		t.Error("the user was created")
	}
	if client.status != 499 || log.Len() > 0 {
		t.Errorf("status %d, log %q", client.status, log.String())
	}
}
