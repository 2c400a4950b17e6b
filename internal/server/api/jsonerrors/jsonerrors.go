// Package jsonerrors has the errors that the services of awsJson1.1 share (Amazon ECR
// API Reference, "Common Errors"). The package of each service names its own
// exceptions first, and asks [Common] for the rest.
package jsonerrors

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
)

// signatureErrors has the codes for a request without a valid signature.
var signatureErrors = map[string]string{
	"MissingAuthenticationToken": "MissingAuthenticationTokenException",
	"IncompleteSignature":        "IncompleteSignatureException",
	"InvalidClientTokenId":       "UnrecognizedClientException",
	"InvalidToken":               "UnrecognizedClientException",
	"SignatureDoesNotMatch":      "InvalidSignatureException",
	"RequestExpired":             "InvalidSignatureException",
	"ExpiredToken":               "ExpiredTokenException",
}

// kinds has the code and the status of the kinds that mean the same in all services.
var kinds = map[fault.Kind]wire.Error{
	fault.Denied:          {Code: "AccessDeniedException", Status: http.StatusBadRequest},
	fault.Unauthenticated: {Code: "UnrecognizedClientException", Status: http.StatusBadRequest},
	fault.Expired:         {Code: "UnrecognizedClientException", Status: http.StatusBadRequest},
	fault.Throttled:       {Code: "ThrottlingException", Status: http.StatusBadRequest},
	fault.Unavailable:     {Code: "ServiceUnavailable", Status: http.StatusServiceUnavailable},
	fault.StorageFull:     {Code: "StorageFullException", Status: http.StatusInsufficientStorage},
	fault.BadGateway:      {Code: "BadGatewayException", Status: http.StatusBadGateway},
	fault.GatewayTimeout:  {Code: "GatewayTimeoutException", Status: http.StatusGatewayTimeout},
	fault.Unimplemented:   {Code: "NotImplementedException", Status: http.StatusNotImplemented},
}

// Common returns the error that all services have for a fault, or nil if each service
// has its own.
func Common(f *fault.Error) error {
	if code := signatureErrors[f.Code]; code != "" {
		return &wire.Error{Code: code, Message: f.Message, Status: http.StatusBadRequest}
	}
	e, ok := kinds[f.Kind]
	if !ok {
		return nil
	}
	e.Message = f.Message
	return &e
}
