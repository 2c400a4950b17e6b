package idletimeout_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/idletimeout"
)

// sendSlowly writes bytes to a pipe, with a pause before each.
func sendSlowly(w *io.PipeWriter, n int, pause time.Duration) {
	for range n {
		time.Sleep(pause) // in a bubble of synctest
		if _, err := w.Write([]byte{0}); err != nil {
			return
		}
	}
	w.Close()
}

func TestBody_Limits(t *testing.T) {
	for name, c := range map[string]struct {
		limits idletimeout.Limits
		bytes  int
		pause  time.Duration
		reader time.Duration // pause of the reader between its reads
		want   error
	}{
		"steady":        {idletimeout.Limits{Idle: 10 * time.Second, MinRate: 1}, 100, time.Second, 0, nil},
		"slow reader":   {idletimeout.Limits{Idle: 10 * time.Second, MinRate: 1}, 10, time.Second, time.Hour, nil},
		"idle":          {idletimeout.Limits{Idle: 10 * time.Second, MinRate: 1}, 1, 11 * time.Second, 0, idletimeout.ErrTimeout},
		"too slow":      {idletimeout.Limits{Idle: 10 * time.Second, MinRate: 1}, 100, 2 * time.Second, 0, idletimeout.ErrTimeout},
		"any progress":  {idletimeout.Limits{Idle: 10 * time.Second}, 100, 9 * time.Second, 0, nil},
		"idle, no rate": {idletimeout.Limits{Idle: 10 * time.Second}, 2, 11 * time.Second, 0, idletimeout.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				r, w := io.Pipe()
				context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
				var sender sync.WaitGroup
				sender.Go(func() { sendSlowly(w, c.bytes, c.pause) })
				body, n := idletimeout.Body(r, c.limits, cancel), 0
				var err error
				for err == nil {
					var read int
					read, err = body.Read(make([]byte, 1))
					n += read
					time.Sleep(c.reader)
				}
				if c.want == nil && (err != io.EOF || n != c.bytes) || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%d bytes, %v", n, err)
				}
				body.Close()
				cancel(nil)
				sender.Wait()
			})
		})
	}
}
