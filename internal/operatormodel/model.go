// Package operatormodel describes Gatehouse's own API, for those who run an
// installation: what is in the work queue, which keys the keyring has, and so on. It
// is an API like those of AWS: awsJson1.1, signed with SigV4 for the service
// [Service], and allowed by IAM as the actions gatehouse:<Operation>.
//
// Each operation is a pair of structs, <Operation>Input and <Operation>Output, which
// the server (package operatorapi) and the client (package operator) share. To add an
// operation, declare the two structs, add a line to operations, and write the method
// on both sides. A field's tags say how it travels:
//
//	json:"maxResults"          its name; every field needs one
//	wire:"required"            the request must have it
//	wire:"min=1,max=100"       bounds of a number, or of the length of a text or a list
//	wire:"enum=due|failed"     the only values of a text
//	wire:"sensitive"           the value is never repeated in a message
//	in:"query"                 of an operation that streams: in the query string, or payload
//	pattern:"[a-z/]+"          the expression that the whole text must match
//
// Optional members are pointers, slices or maps; texts and numbers without a pointer
// are always in an answer. Times travel as seconds since 1970. The members of a struct that
// another one embeds are members of that one.
//
// The package imports neither the server nor the client.
package operatormodel

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

const (
	// Service is the service's name: in the credential scope of signatures, in ARNs,
	// and before the colon of IAM actions.
	Service = "gatehouse"
	// TargetPrefix stands before the operation in the header X-Amz-Target.
	TargetPrefix = "Gatehouse_20261130"
	// ContentType is the media type of requests and answers.
	ContentType = "application/x-amz-json-1.1"

	apiVersion = "2026-11-30"
)

// operations has the input and the output of each operation.
var operations = [][2]any{
	{GetServerInfoInput{}, GetServerInfoOutput{}},
	{ListWorkInput{}, ListWorkOutput{}},
	{RetryWorkInput{}, RetryWorkOutput{}},
	{ListEventsInput{}, ListEventsOutput{}},
	{ListKeysInput{}, ListKeysOutput{}},
	{RetireKeyInput{}, RetireKeyOutput{}},
	{RotateKeysInput{}, RotateKeysOutput{}},
	{ListPackageStatisticsInput{}, ListPackageStatisticsOutput{}},
	{PutRetentionRulesInput{}, PutRetentionRulesOutput{}},
	{GetRetentionRulesInput{}, GetRetentionRulesOutput{}},
	{DeleteRetentionRulesInput{}, DeleteRetentionRulesOutput{}},
	{PreviewRetentionInput{}, PreviewRetentionOutput{}},
	{RunRetentionInput{}, RunRetentionOutput{}},
	{ListRetentionRunsInput{}, ListRetentionRunsOutput{}},
	{UndoRetentionInput{}, UndoRetentionOutput{}},
	{PutAdmissionExceptionInput{}, PutAdmissionExceptionOutput{}},
	{DeleteAdmissionExceptionInput{}, DeleteAdmissionExceptionOutput{}},
	{PutQuarantineInput{}, PutQuarantineOutput{}},
	{ReleaseQuarantineInput{}, ReleaseQuarantineOutput{}},
	{ListAdmissionEntriesInput{}, ListAdmissionEntriesOutput{}},
	{ExplainAdmissionInput{}, ExplainAdmissionOutput{}},
	{ExplainLifecycleInput{}, ExplainLifecycleOutput{}},
	{RunLifecycleInput{}, RunLifecycleOutput{}},
	{ListLifecycleRunsInput{}, ListLifecycleRunsOutput{}},
	{UndoLifecycleInput{}, UndoLifecycleOutput{}},
	{PutDefaultLifecyclePolicyInput{}, PutDefaultLifecyclePolicyOutput{}},
	{GetDefaultLifecyclePolicyInput{}, GetDefaultLifecyclePolicyOutput{}},
	{DeleteDefaultLifecyclePolicyInput{}, DeleteDefaultLifecyclePolicyOutput{}},
	{ImportAdvisoriesInput{}, ImportAdvisoriesOutput{}},
	{DeleteAdvisoriesInput{}, DeleteAdvisoriesOutput{}},
	{ListAdvisoriesInput{}, ListAdvisoriesOutput{}},
	{RefreshAdvisoriesInput{}, RefreshAdvisoriesOutput{}},
	{ListAdvisorySourcesInput{}, ListAdvisorySourcesOutput{}},
	{ExportPackageVersionInput{}, ExportPackageVersionOutput{}},
}

// Table returns the description of the API that package wire works with.
func Table() (*model.Service, error) {
	t := &model.Service{
		Name: Service, Protocol: model.JSON, Version: apiVersion, TargetPrefix: TargetPrefix,
		Operations: map[string]*model.Operation{}, Shapes: map[string]*model.Shape{},
	}
	b := builder{t.Shapes}
	for _, o := range operations {
		in, out := reflect.TypeOf(o[0]), reflect.TypeOf(o[1])
		name := operationOf(in)
		t.Operations[name] = &model.Operation{Input: in.Name(), Output: out.Name()}
		for _, structure := range []reflect.Type{in, out} {
			if _, err := b.shape(structure, ""); err != nil {
				return nil, fmt.Errorf("operation %s: %w", name, err)
			}
		}
	}
	return t, nil
}

// operationOf is the name of the operation whose input struct it is.
func operationOf(in reflect.Type) string { return strings.TrimSuffix(in.Name(), "Input") }

// A builder collects the shapes of Go types.
type builder struct{ shapes map[string]*model.Shape }

// shape adds the shape of a type, and returns its name. A type without a name of its
// own is named after the member that has it.
func (b builder) shape(t reflect.Type, member string) (name string, err error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name = member
	if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() {
		name = t.Name()
	}
	if b.shapes[name] != nil {
		return name, nil
	}
	s := new(model.Shape)
	b.shapes[name] = s // before its members, which may lead back here
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.Type = model.Timestamp
	case t.Kind() == reflect.String:
		s.Type = model.String
	case t.Kind() == reflect.Bool:
		s.Type = model.Boolean
	case t.Kind() == reflect.Float64:
		s.Type = model.Float
	case reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64:
		s.Type = model.Integer
	case t == reflect.TypeFor[[]byte](), t == reflect.TypeFor[io.Reader](), t == reflect.TypeFor[io.ReadCloser]():
		s.Type = model.Blob
	case t.Kind() == reflect.Slice:
		s.Type = model.List
		s.Element, err = b.shape(t.Elem(), name+".member")
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		s.Type = model.Map
		s.Element, err = b.shape(t.Elem(), name+".value")
	case t.Kind() == reflect.Struct:
		s.Type = model.Structure
		s.Members, err = b.members(t)
	default:
		err = fmt.Errorf("%s: a %v cannot travel", name, t)
	}
	return name, err
}

func (b builder) members(t reflect.Type) (map[string]*model.Member, error) {
	members := map[string]*model.Member{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner, err := b.members(f.Type)
			if err != nil {
				return nil, err
			}
			maps.Copy(members, inner)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			return nil, fmt.Errorf("%v.%s has no json tag", t, f.Name)
		}
		shape, err := b.shape(f.Type, t.Name()+"."+name)
		if err != nil {
			return nil, err
		}
		m := &model.Member{Shape: shape, Field: f.Name, In: model.Location(f.Tag.Get("in"))}
		if m.In == model.InQuery {
			m.Name = name
		}
		if err := constrain(m, b.shapes[shape], f.Tag); err != nil {
			return nil, fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		members[name] = m
	}
	return members, nil
}

// constrain applies the tags of a field.
func constrain(m *model.Member, s *model.Shape, tag reflect.StructTag) error {
	s.Pattern = tag.Get("pattern")
	words := tag.Get("wire")
	if words == "" {
		return nil
	}
	for word := range strings.SplitSeq(words, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "required":
			m.Required = true
		case "sensitive":
			s.Sensitive = true
		case "enum":
			s.Enum = strings.Split(value, "|")
		case "min", "max":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return err
			}
			if key == "min" {
				s.Min = &n
			} else {
				s.Max = &n
			}
		default:
			return fmt.Errorf("unknown constraint %q", word)
		}
	}
	return nil
}
