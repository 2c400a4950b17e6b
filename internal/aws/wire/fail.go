package wire

import (
	"errors"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/smithy-go"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// A failure is an error on its way to the client, the same for all protocols.
type failure struct {
	code    string
	message string
	status  int
	// members is the plan of an error type of the SDK, and value the error. It is
	// nil for an error that has a code and a message alone.
	members *node
	value   reflect.Value
}

// retryAfter is how long a throttled client waits by default.
const retryAfter = time.Second

// fail answers with an error.
func (x *exchange) fail(err error) {
	cause := err
	if x.options.MapError != nil {
		err = x.options.MapError(err)
	}
	f := x.failure(err)
	if x.options.Failed != nil {
		x.options.Failed(x.r.Context(), cause, Error{Code: f.code, Message: f.message, Status: f.status})
	}
	h := x.w.Header()
	h.Set("X-Amzn-Errortype", f.code)
	var own *Error
	if errors.As(err, &own) {
		setRetryAfter(h, own.RetryAfter)
	}
	var method *MethodError
	if errors.As(err, &method) {
		h.Set("Allow", method.Allow)
	}
	if f.members != nil {
		setHeaders(h, f.members, f.value)
	}
	if (f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	x.proto.fail(x, f)
}

// setRetryAfter tells the client when to come back, unless after is 0.
func setRetryAfter(h http.Header, after time.Duration) {
	if after > 0 {
		h.Set("Retry-After", strconv.FormatFloat(math.Ceil(after.Seconds()), 'f', 0, 64))
	}
}

// failure finds the code, the message and the status of an error.
func (x *exchange) failure(err error) failure {
	var own *Error
	if errors.As(err, &own) {
		f := failure{code: own.Code, message: own.Message, status: own.Status}
		if f.status == 0 {
			f.status = http.StatusBadRequest
		}
		return f
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return x.modelled(api)
	}
	return x.standard(err)
}

// modelled is the failure of an error of the SDK.
func (x *exchange) modelled(api smithy.APIError) failure {
	f := failure{code: api.ErrorCode(), message: api.ErrorMessage(), status: http.StatusBadRequest}
	if api.ErrorFault() == smithy.FaultServer {
		f.status = http.StatusInternalServerError
	}
	v := reflect.ValueOf(api)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return f
	}
	name := v.Elem().Type().Name()
	shape := x.table.Shapes[name]
	if shape == nil || shape.Status == 0 {
		return f
	}
	f.status = shape.Status
	// A type with the same name that does not fit belongs to another service.
	if members, err := x.planner.plan(name, v.Type()); err == nil {
		f.members, f.value = members, v.Elem()
	}
	return f
}

// codes are the codes of a failure in awsQuery and in the other protocols.
type codes struct {
	query, json string
	status      int
}

// Known reports whether an error has a form for clients already: it is an error
// of this package or of the SDK. Any other error is an internal failure, for which
// a service may have its own code.
func Known(err error) bool {
	var own *Error
	var api smithy.APIError
	_, standard := standardCodes(err)
	return standard || errors.As(err, &own) || errors.As(err, &api)
}

// standard is the failure of an error of this package, and of an unknown error.
func (x *exchange) standard(err error) failure {
	c, ok := standardCodes(err)
	if !ok {
		return failure{
			code:    "InternalFailure",
			message: "The server failed to answer. Its log says why, under the id of this request.",
			status:  http.StatusInternalServerError,
		}
	}
	if unknown := (*UnknownOperationError)(nil); x.table.Protocol == model.RestJSON && errors.As(err, &unknown) {
		c.status = http.StatusNotFound
	}
	if x.table.Protocol == model.Query {
		return failure{code: c.query, message: err.Error(), status: c.status}
	}
	return failure{code: c.json, message: err.Error(), status: c.status}
}

// standardCodes returns the codes of an error of this package.
func standardCodes(err error) (c codes, ok bool) {
	var (
		serialization *SerializationError
		validation    *ValidationError
		tooLarge      *TooLargeError
		unknown       *UnknownOperationError
		method        *MethodError
		unimplemented *UnimplementedError
	)
	switch {
	case errors.As(err, &serialization):
		c = codes{"MalformedInput", "SerializationException", http.StatusBadRequest}
	case errors.As(err, &validation):
		c = codes{"ValidationError", "ValidationException", http.StatusBadRequest}
	case errors.As(err, &tooLarge):
		c = codes{"RequestEntityTooLarge", "RequestEntityTooLargeException", http.StatusRequestEntityTooLarge}
	case errors.As(err, &unknown):
		c = codes{"InvalidAction", "UnknownOperationException", http.StatusBadRequest}
	case errors.As(err, &method):
		c = codes{"MethodNotAllowed", "MethodNotAllowedException", http.StatusMethodNotAllowed}
	case errors.As(err, &unimplemented):
		c = codes{"NotImplemented", "NotImplementedException", http.StatusNotImplemented}
	default:
		return c, false
	}
	return c, true
}
