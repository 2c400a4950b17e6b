package ecrapi

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/jsonerrors"
)

// MapError turns any error into what an ECR client gets: an exception of ECR's model
// if there is one, and otherwise a code that the AWS JSON services share (Amazon ECR
// API Reference, "Common Errors"). A violated constraint is ECR's
// InvalidParameterException, an unknown error its ServerException. Errors of package
// wire stay as they are.
func MapError(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return mapFault(f)
	}
	if invalid, ok := errors.AsType[*wire.ValidationError](err); ok {
		return &types.InvalidParameterException{Message: new(invalid.InvalidParameter())}
	}
	if wire.Known(err) {
		return err
	}
	return mapFault(fault.From(err))
}

func mapFault(f *fault.Error) error {
	if modelled := exceptions[f.Code]; modelled != nil {
		return modelled(&f.Message)
	}
	if common := jsonerrors.Common(f); common != nil {
		return common
	}
	switch f.Kind {
	case fault.Limit:
		return &types.LimitExceededException{Message: &f.Message}
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.TooLarge:
		return &types.InvalidParameterException{Message: &f.Message}
	default:
		return &types.ServerException{Message: &f.Message}
	}
}

// exceptions has the faults of the domain for which ECR's model has an exception.
var exceptions = map[string]func(message *string) error{
	"RepositoryNotFound":                func(m *string) error { return &types.RepositoryNotFoundException{Message: m} },
	"RepositoryAlreadyExists":           func(m *string) error { return &types.RepositoryAlreadyExistsException{Message: m} },
	"RepositoryNotEmpty":                func(m *string) error { return &types.RepositoryNotEmptyException{Message: m} },
	"RepositoryPolicyNotFound":          func(m *string) error { return &types.RepositoryPolicyNotFoundException{Message: m} },
	"LifecyclePolicyNotFound":           func(m *string) error { return &types.LifecyclePolicyNotFoundException{Message: m} },
	"LifecyclePolicyPreviewNotFound":    func(m *string) error { return &types.LifecyclePolicyPreviewNotFoundException{Message: m} },
	"LifecyclePolicyPreviewInProgress":  func(m *string) error { return &types.LifecyclePolicyPreviewInProgressException{Message: m} },
	"RegistryPolicyNotFound":            func(m *string) error { return &types.RegistryPolicyNotFoundException{Message: m} },
	"ReplicationBackfillNotFound":       func(m *string) error { return &types.ReplicationBackfillNotFoundException{Message: m} },
	"ReplicationBackfillInProgress":     func(m *string) error { return &types.ReplicationBackfillInProgressException{Message: m} },
	"ReplicationBackfillInvalidStatus":  func(m *string) error { return &types.ReplicationBackfillInvalidStatusException{Message: m} },
	"ExclusionAlreadyExists":            func(m *string) error { return &types.ExclusionAlreadyExistsException{Message: m} },
	"ExclusionNotFound":                 func(m *string) error { return &types.ExclusionNotFoundException{Message: m} },
	"PullThroughCacheRuleNotFound":      func(m *string) error { return &types.PullThroughCacheRuleNotFoundException{Message: m} },
	"PullThroughCacheRuleAlreadyExists": func(m *string) error { return &types.PullThroughCacheRuleAlreadyExistsException{Message: m} },
	"UnsupportedUpstreamRegistry":       func(m *string) error { return &types.UnsupportedUpstreamRegistryException{Message: m} },
	"SigningConfigurationNotFound":      func(m *string) error { return &types.SigningConfigurationNotFoundException{Message: m} },
	"SecretNotFound":                    func(m *string) error { return &types.SecretNotFoundException{Message: m} },
	"UnableToAccessSecret":              func(m *string) error { return &types.UnableToAccessSecretException{Message: m} },
	"UnableToDecryptSecretValue":        func(m *string) error { return &types.UnableToDecryptSecretValueException{Message: m} },
	"TemplateAlreadyExists":             func(m *string) error { return &types.TemplateAlreadyExistsException{Message: m} },
	"TemplateNotFound":                  func(m *string) error { return &types.TemplateNotFoundException{Message: m} },
	"ScanNotFound":                      func(m *string) error { return &types.ScanNotFoundException{Message: m} },
	"UnsupportedImageType":              func(m *string) error { return &types.UnsupportedImageTypeException{Message: m} },
	"ScanTypeEnhanced":                  func(m *string) error { return &types.ValidationException{Message: m} },
	"ScanQuota":                         func(m *string) error { return &types.LimitExceededException{Message: m} },
	"InvalidTagParameter":               func(m *string) error { return &types.InvalidTagParameterException{Message: m} },
	"TooManyTags":                       func(m *string) error { return &types.TooManyTagsException{Message: m} },

	"ImageNotFound":                       func(m *string) error { return &types.ImageNotFoundException{Message: m} },
	"ImageTagDoesNotMatchDigest":          func(m *string) error { return &types.ImageNotFoundException{Message: m} },
	"ImageArchived":                       func(m *string) error { return &types.ImageArchivedException{Message: m} },
	"ImageAlreadyExists":                  func(m *string) error { return &types.ImageAlreadyExistsException{Message: m} },
	"ImageTagAlreadyExists":               func(m *string) error { return &types.ImageTagAlreadyExistsException{Message: m} },
	"ImageDigestDoesNotMatch":             func(m *string) error { return &types.ImageDigestDoesNotMatchException{Message: m} },
	"ImageStorageClassUpdateNotSupported": func(m *string) error { return &types.ImageStorageClassUpdateNotSupportedException{Message: m} },
	"LayersNotFound":                      func(m *string) error { return &types.LayersNotFoundException{Message: m} },
	"ReferencedImagesNotFound":            func(m *string) error { return &types.ReferencedImagesNotFoundException{Message: m} },

	"UploadNotFound":     func(m *string) error { return &types.UploadNotFoundException{Message: m} },
	"EmptyUpload":        func(m *string) error { return &types.EmptyUploadException{Message: m} },
	"InvalidLayer":       func(m *string) error { return &types.InvalidLayerException{Message: m} },
	"InvalidLayerPart":   func(m *string) error { return &types.InvalidLayerPartException{Message: m} },
	"LayerPartTooSmall":  func(m *string) error { return &types.LayerPartTooSmallException{Message: m} },
	"LayerAlreadyExists": func(m *string) error { return &types.LayerAlreadyExistsException{Message: m} },
	"LayerInaccessible":  func(m *string) error { return &types.LayerInaccessibleException{Message: m} },
	"LayerTooLarge":      func(m *string) error { return &types.LimitExceededException{Message: m} },
}

// invalidParameter returns the fault of a request that ECR's model allows and ECR
// refuses.
func invalidParameter(parameter, constraint string) error {
	return fault.New(fault.Invalid, "InvalidParameter", "Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, constraint)
}
