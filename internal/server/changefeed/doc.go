// Package changefeed keeps the memory of several servers on one database current.
//
// The domains (iam, images, packages) decide from memory: snapshots and caches that
// no request has to read from the database. A change that one server makes must
// reach the memory of all the others before it is answered. Otherwise a revoked
// permission would still be accepted, or a moved tag served as it was.
//
// A domain makes every change that concerns its memory through [Feed.Make]. In the
// transaction of the change, Make writes a row to the table change_feed, with the
// keys of what was changed. Each server reads the rows of the others and calls the
// [Follower] of the domain, which reads the named things again, or drops them from
// its caches. Then the server reports what it has (its row of change_reader), and
// Make returns when all servers have reported the change.
//
// # Positions
//
// Each row has the position of its transaction ([db.Tx.Position]). Transactions are
// not committed in the order of their positions, so a reader cannot go on after the
// last position that it saw. [db.DB.Finished] says which transactions are finished. A
// reader reads the rows of those that were not finished at its last reading, and
// reports what is finished. So a transaction that stays open for long, perhaps of
// another program, delays nothing but the removal of rows.
//
// # Leases
//
// A server that cannot reach the database does not learn of changes, so it must stop
// deciding, and the others must not wait for it forever. Each server has a lease:
//
//   - It reports, then reads the feed, then applies what it found. After that it may
//     decide for the time of a lease, counted from before the report began.
//   - A server that has made a change reads which servers have not reported it. It
//     answers when all have, or when a whole lease has passed since that reading.
//   - A server whose lease is over refuses every request ([Feed.Ready]) until it has
//     reported and read again.
//
// Why nothing slips through: a report is committed either before the change, and
// then its lease ends within the wait of the change; or after it, and then the
// reading that follows the report finds the change, and without applying it there is
// no lease.
//
// Clocks are never compared. Each side measures its own lease. The clocks only have
// to run equally fast; for small differences, and for the time between the check of
// the lease and the decision, a server gives up a tenth of its lease early.
//
// What is promised: after Make has returned, no server decides without the change.
// While Make still waits, some servers have the change and others do not.
//
// # Restored databases
//
// After a restore from a backup, or after a standby took over, the database may lack
// what memory has, and positions may start again at lower numbers. A server notices it
// by positions that went back, by a row of change_reader that is older than its last
// report, or by [db.DB.Incarnation], which it reads between each report and the lease.
// Then it gives its lease up and loads everything again. A maker of a change does not
// believe a report of positions higher than those of the database.
//
// # One server
//
// If no other process can use the database ([db.DB.Shared] is false), nothing of this
// takes place: there is no lease, no polling and no waiting. Changes of caches then
// write no row, and changes of snapshots write one for the sole purpose of finding
// out whether a commit whose answer was lost has happened.
//
// This package imports no domain.
package changefeed
