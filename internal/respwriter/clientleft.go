package respwriter

import (
	"context"
	"errors"
)

// StatusClientLeft is what logs and metrics show for a request whose client left
// before it was answered. The number is nginx's; HTTP has none.
const StatusClientLeft = 499

// ClientLeft reports whether err ended a request because its client closed the
// connection, or its sending side: net/http then cancels ctx, the request's context.
// That is not a failure of the server.
func ClientLeft(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled)
}
