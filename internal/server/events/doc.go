// Package events keeps what changed in the domains, tells webhooks about it, and lets
// operators read it.
//
// A domain writes an [Event] in the transaction of the change, with [Log.Write]. So the
// event exists if and only if the change was committed (the pattern is called an
// outbox). The events have the envelope of Amazon EventBridge; their details are the
// domain's, in the shape that AWS documents for the service. This package knows no
// domain.
//
// # How an event flows
//
// Write adds one row to the table event_outbox. The row has no number yet: transactions
// that run at the same time would have to wait for each other to get numbers in the
// order of their commits. Collecting moves the rows of committed transactions to the
// table event and numbers them. In the same transaction it puts a job into the work
// queue for each webhook whose filter chooses the event. Three things collect: a server
// with webhooks right after a change ([Log.Run]), every reading ([Log.Read]), and a
// kind of work that recurs, which also removes old events. So a change costs one row if
// nothing listens.
//
// # What is promised
//
// A webhook gets each event at least once, perhaps more often and in another order; see
// webhook.go. A reader gets each event once, in the order of the numbers, if it reads
// within [Config.Keep]. Events that one server has written are numbered in the order in
// which they were written; events of several servers are numbered by their clocks. Events about one
// thing are in order if the domain's detail has a number of its own.
//
// The package is storage: it does not authorize. Package installation has the operation
// for people.
package events
