package codeartifactapi

import (
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
)

// MapError converts an error to an exception of CodeArtifact's model, or to a
// *wire.Error for the codes that AWS's front end uses for every service.
func MapError(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return mapFault(f)
	}
	if e, ok := errors.AsType[*wire.ValidationError](err); ok {
		return invalid(e.Error(), types.ValidationExceptionReasonFieldValidationFailed)
	}
	if e, ok := errors.AsType[*wire.SerializationError](err); ok {
		return invalid(e.Error(), types.ValidationExceptionReasonCannotParse)
	}
	if wire.Known(err) {
		return err // wire writes it correctly
	}
	return mapFault(fault.From(err))
}

func invalid(message string, reason types.ValidationExceptionReason) error {
	return &types.ValidationException{Message: &message, Reason: reason}
}

// frontEnd has CodeArtifact's codes of failed authentication by the code of the fault.
// A wrong signature and an unknown key are 403 in CodeArtifact.
var frontEnd = map[string]wire.Error{
	"MissingAuthenticationToken": {Code: "MissingAuthenticationTokenException", Status: http.StatusForbidden},
	"IncompleteSignature":        {Code: "IncompleteSignatureException", Status: http.StatusBadRequest},
	"InvalidClientTokenId":       {Code: "UnrecognizedClientException", Status: http.StatusForbidden},
	"SignatureDoesNotMatch":      {Code: "InvalidSignatureException", Status: http.StatusForbidden},
	"RequestExpired":             {Code: "InvalidSignatureException", Status: http.StatusForbidden},
	"ExpiredToken":               {Code: "ExpiredTokenException", Status: http.StatusForbidden},
	"InvalidToken":               {Code: "UnrecognizedClientException", Status: http.StatusForbidden},
}

func mapFault(f *fault.Error) error {
	if e, ok := frontEnd[f.Code]; ok {
		e.Message = f.Message
		return &e
	}
	resource := types.ResourceType(f.ResourceType)
	switch f.Kind {
	case fault.Invalid, fault.TooLarge:
		return invalid(f.Message, types.ValidationExceptionReasonFieldValidationFailed)
	case fault.Denied:
		return &types.AccessDeniedException{Message: &f.Message}
	case fault.NotFound:
		return &types.ResourceNotFoundException{Message: &f.Message, ResourceId: optional.Text(f.ResourceID), ResourceType: resource}
	case fault.Conflict:
		return &types.ConflictException{Message: &f.Message, ResourceId: optional.Text(f.ResourceID), ResourceType: resource}
	case fault.Limit:
		return &types.ServiceQuotaExceededException{Message: &f.Message, ResourceId: optional.Text(f.ResourceID), ResourceType: resource}
	case fault.Throttled:
		return &types.ThrottlingException{Message: &f.Message}
	case fault.Unauthenticated, fault.Expired:
		return &wire.Error{Code: "UnrecognizedClientException", Message: f.Message, Status: http.StatusForbidden}
	case fault.Unavailable:
		return &wire.Error{Code: "ServiceUnavailableException", Message: f.Message, Status: http.StatusServiceUnavailable}
	case fault.BadGateway:
		return &wire.Error{Code: "BadGatewayException", Message: f.Message, Status: http.StatusBadGateway}
	case fault.GatewayTimeout:
		return &wire.Error{Code: "GatewayTimeoutException", Message: f.Message, Status: http.StatusGatewayTimeout}
	case fault.StorageFull:
		return &wire.Error{Code: "StorageFullException", Message: f.Message, Status: http.StatusInsufficientStorage}
	case fault.Unimplemented:
		return &wire.Error{Code: "NotImplementedException", Message: f.Message, Status: http.StatusNotImplemented}
	}
	return &types.InternalServerException{Message: &f.Message}
}
