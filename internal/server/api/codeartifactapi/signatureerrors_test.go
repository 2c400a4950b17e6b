package codeartifactapi_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	edge "github.com/gatehouse-registry/gatehouse/internal/server/api/codeartifactapi"
)

// CodeArtifact's front end has its own codes, and 403 for errors that are 400 in ECR.
func TestMapError_Signatures(t *testing.T) {
	for code, want := range map[string]string{
		"InvalidClientTokenId":  "UnrecognizedClientException",
		"SignatureDoesNotMatch": "InvalidSignatureException",
		"RequestExpired":        "InvalidSignatureException",
		"ExpiredToken":          "ExpiredTokenException",
	} {
		var e *wire.Error
		if err := edge.MapError(fault.New(fault.Unauthenticated, code, "no")); !errors.As(err, &e) || e.Code != want || e.Status != http.StatusForbidden {
			t.Errorf("%s is answered with %v, want %s and 403", code, err, want)
		}
	}
}
