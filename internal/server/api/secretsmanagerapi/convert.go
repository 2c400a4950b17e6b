package secretsmanagerapi

import (
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/jsonerrors"
	"github.com/gatehouse-registry/gatehouse/internal/server/api/optional"
	"github.com/gatehouse-registry/gatehouse/internal/server/secrets"
)

func tagMap(list []types.Tag) map[string]string {
	out := make(map[string]string, len(list))
	for _, t := range list {
		out[optional.Value(t.Key)] = optional.Value(t.Value)
	}
	return out
}

func tagList(tags map[string]string) (list []types.Tag) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: &key, Value: new(tags[key])})
	}
	return list
}

func stages(x *secrets.Secret) map[string][]string {
	if len(x.Versions) == 0 {
		return nil
	}
	out := make(map[string][]string, len(x.Versions))
	for _, v := range x.Versions {
		out[v.ID] = v.Stages
	}
	return out
}

// MapError turns any error into what a client of Secrets Manager gets: an exception of its
// model if there is one, and otherwise a code that the AWS JSON services share.
func MapError(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return mapFault(f)
	}
	if wire.Known(err) {
		return err
	}
	return mapFault(fault.From(err))
}

func mapFault(f *fault.Error) error {
	switch f.Code {
	case "ResourceNotFound":
		return &types.ResourceNotFoundException{Message: &f.Message}
	case "ResourceExists":
		return &types.ResourceExistsException{Message: &f.Message}
	case "InvalidRequest":
		return &types.InvalidRequestException{Message: &f.Message}
	case "DecryptionFailure":
		return &types.DecryptionFailure{Message: &f.Message}
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
		return &types.InternalServiceError{Message: &f.Message}
	}
}
