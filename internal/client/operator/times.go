package operator

import (
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// timeFormat writes and reads times as the protocol has them: seconds since 1970 with
// a fraction of milliseconds.
var timeFormat = json.JoinOptions(
	json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, t time.Time) error {
		return e.WriteToken(jsontext.Float(float64(t.UnixMilli()) / 1e3))
	})),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, t *time.Time) error {
		var seconds float64
		if err := json.UnmarshalDecode(d, &seconds); err != nil {
			return err
		}
		*t = time.UnixMilli(int64(math.Round(seconds * 1e3))).UTC()
		return nil
	})),
)
