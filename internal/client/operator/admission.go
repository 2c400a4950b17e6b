package operator

import (
	"context"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
)

// PutAdmissionException suspends rules about versions of a package.
func (c *Client) PutAdmissionException(ctx context.Context, in *operatormodel.PutAdmissionExceptionInput) (*operatormodel.PutAdmissionExceptionOutput, error) {
	return call[operatormodel.PutAdmissionExceptionOutput](ctx, c, in)
}

// PutQuarantine denies versions of a package to everybody.
func (c *Client) PutQuarantine(ctx context.Context, in *operatormodel.PutQuarantineInput) (*operatormodel.PutQuarantineOutput, error) {
	return call[operatormodel.PutQuarantineOutput](ctx, c, in)
}

// DeleteAdmissionException ends an exception.
func (c *Client) DeleteAdmissionException(ctx context.Context, in *operatormodel.DeleteAdmissionExceptionInput) (*operatormodel.DeleteAdmissionExceptionOutput, error) {
	return call[operatormodel.DeleteAdmissionExceptionOutput](ctx, c, in)
}

// ReleaseQuarantine ends a quarantine.
func (c *Client) ReleaseQuarantine(ctx context.Context, in *operatormodel.ReleaseQuarantineInput) (*operatormodel.ReleaseQuarantineOutput, error) {
	return call[operatormodel.ReleaseQuarantineOutput](ctx, c, in)
}

// ListAdmissionEntries returns a page of exceptions and quarantines.
func (c *Client) ListAdmissionEntries(ctx context.Context, in *operatormodel.ListAdmissionEntriesInput) (*operatormodel.ListAdmissionEntriesOutput, error) {
	return call[operatormodel.ListAdmissionEntriesOutput](ctx, c, in)
}

// ExplainAdmission returns a page of what is decided about the versions of a package.
func (c *Client) ExplainAdmission(ctx context.Context, in *operatormodel.ExplainAdmissionInput) (*operatormodel.ExplainAdmissionOutput, error) {
	return call[operatormodel.ExplainAdmissionOutput](ctx, c, in)
}
