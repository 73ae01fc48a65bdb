"""Everything that can be asked under `/-/admin/`, in one table: the addresses and their description are made from it,
so that there is none that is not described.

Each is a function of the directory's, called as the command line calls it (`operations.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection

from gateway.api import admin_asked as asking
from gateway.api import admin_bodies as bodies
from gateway.api.admin_imports import IMPORTS
from gateway.api.operations import Ended, Entered, Guard, Invited, Joined, Operation
from gateway.identity import directory, staff
from gateway.identity.store import Store


def _not_own(_: Connection, by: str, sent: Any) -> None:
    staff.forbid_own(by, sent.identifier)


def _no_opening(connection: Connection, _: str, sent: Any) -> None:
    staff.forbid_opening_staff(connection, sent.identifier)


def _no_new_staff(connection: Connection, _: str, sent: Any) -> None:
    staff.forbid_new_staff(connection, partner_name=sent.partner_name, profiles=sent.profiles)


def _neither_of_the_staff(connection: Connection, _: str, sent: Any) -> None:
    staff.forbid_opening_staff(connection, sent.identifier, profiles=sent.profiles)


def _changes(group: str, act: str, said: str, does: Callable[..., Any], body: Any, **more: Any) -> Operation:
    return Operation(group=group, act=act, said=said, does=does, body=body, **more)


def _on_account(act: str, said: str, does: Callable[..., Any], body: Any, *guards: Guard, **more: Any) -> Operation:
    return _changes("account", act, said, does, body, guards=(_not_own, *guards), **more)


def _of_today(does: Callable[..., Any]) -> Callable[..., Any]:
    """A list of the directory's that takes a state and the day on which it is to be so."""

    def of_today(store: Store, *, state: str | None, today: date, **asked: Any) -> Any:
        return does(store, state=None if state is None else (state, today), **asked)

    return of_today


def _lists(group: str, said: str, does: Callable[..., Any], asked: Any, row: Any, **more: Any) -> Operation:
    return Operation(group=group, act="list", said=said, does=does, asked=asked, row=row, **more)


def _shows(group: str, said: str, does: Callable[..., Any], asked: Any, entry: Any) -> Operation:
    return Operation(
        group=group,
        act="show",
        said=said,
        does=does,
        asked=asked,
        entry=entry,
        row=directory.Change,
        key=lambda row: row.id,
    )


OPERATIONS: Final = (
    _changes("partner", "add", "Enter a partner", directory.add_partner, bodies.NewPartner),
    _changes("partner", "siret", "Give a partner its SIRET, or another", directory.set_siret, bodies.PartnerSiret),
    _lists("partner", "The partners, by name", directory.partners, asking.AskedPartners, directory.Partner,
           key=lambda row: row.name),
    _shows("partner", "A partner, and what was done to it", directory.show_partner, asking.ThisPartner,
           directory.Partner),
    _changes("convention", "add", "Enter a convention", directory.add_convention, bodies.NewConvention),
    _changes("convention", "suspend", "Close what a convention opens", directory.suspend_convention,
             bodies.OneConvention),
    _changes("convention", "resume", "Let a suspended convention open again", directory.resume_convention,
             bodies.OneConvention),
    _changes("convention", "limit", "Allow a convention so many agents", directory.limit_convention,
             bodies.ConventionLimit),
    _lists("convention", "The conventions, by partner and first day", _of_today(directory.conventions),
           asking.AskedConventions, directory.Convention, key=lambda row: row.number),
    _shows("convention", "A convention, and what was done to it", directory.show_convention, asking.ThisConvention,
           directory.Convention),
    _on_account("add", "Enter an account; the link with which its agent chooses a password", directory.invite_new,
                bodies.NewAccount, _no_new_staff, answer=Invited),
    _on_account("invite", "A fresh link, with which the agent chooses another password", directory.invite,
                bodies.OneAccount, _no_opening, answer=Invited),
    _on_account("suspend", "Refuse an account, open sessions included", directory.suspend_account, bodies.OneAccount),
    _on_account("resume", "Let a suspended account in again", directory.resume_account, bodies.OneAccount),
    _on_account("unlock", "Let an account in again that wrong passwords have locked", directory.unlock_account,
                bodies.OneAccount, _no_opening),
    _on_account("profiles", "Give an account exactly these profiles", directory.set_profiles, bodies.AccountProfiles,
                _neither_of_the_staff),
    _on_account("function", "Note what the agent does", directory.set_function, bodies.AccountFunction),
    _on_account("delegate", "Let an account manage the agents of its partner", directory.delegate_account,
                bodies.OneAccount),
    _on_account("undelegate", "Let an account manage nobody any more", directory.undelegate_account,
                bodies.OneAccount),
    _on_account("sign", "Note that the agent accepted the engagement", directory.sign_engagement,
                bodies.AccountEngagement),
    _on_account("withdraw", "Note that the agent has no engagement any more", directory.withdraw_engagement,
                bodies.OneAccount),
    _on_account("confirm", "Note that the agent still needs the account", directory.confirm_account,
                bodies.OneAccount),
    _on_account("password", "Give an account another password, unlock it and end its sessions",
                directory.set_password, bodies.AccountPassword, _no_opening, answer=Ended),
    _on_account("reset-second-factor", "Let an account log in without its second factor, which is lost",
                directory.reset_factor, bodies.OneAccount, _no_opening, answer=Ended),
    _on_account("close", "Close the account of an agent who leaves, for good", directory.close_account,
                bodies.LeavingAccount, answer=directory.Left),
    Operation(group="account", act="review", said="What the yearly review looks at",
              does=directory.review, asked=asking.AskedReview, row=directory.Finding,
              key=lambda row: f"{row.finding} {row.subject}"),
    _lists("account", "The accounts, closed ones too, by identifier", directory.accounts, asking.AskedAccounts,
           directory.Account, key=lambda row: row.identifier),
    _shows("account", "An account, and what was done to it", directory.show_account, asking.ThisAccount,
           directory.Account),
    _changes("mandate", "add", "Entrust a dossier", directory.add_mandate, bodies.NewMandate, answer=Entered),
    _changes("mandate", "release", "Take a mandate back, for good", directory.release_mandate, bodies.OneMandate),
    _lists("mandate", "The mandates, released ones too", _of_today(directory.mandates), asking.AskedMandates,
           directory.Mandate, key=lambda row: row.id),
    _shows("mandate", "A mandate, and what was done to it", directory.show_mandate, asking.ThisMandate,
           directory.Mandate),
    _changes("objection", "raise", "Withhold a dossier from external partners", directory.raise_objection,
             bodies.NewObjection),
    _changes("objection", "lift", "End the objection on a dossier", directory.lift_objection, bodies.OneObjection),
    _lists("objection", "The objections, lifted ones too", directory.objections, asking.AskedObjections,
           directory.Objection, key=lambda row: row.id),
    _changes("request", "receive", "Note that the file of a request to join is back, complete",
             directory.receive_request, bodies.OneRequest),
    _changes("request", "sign", "Note the convention that was signed for a request to join", directory.sign_request,
             bodies.SignedRequest),
    _changes("request", "approve", "Let an organisation in; not by whoever received its file or signed",
             directory.approve_request, bodies.ApprovedRequest, answer=Joined),
    _changes("request", "refuse", "Refuse a request to join; not by whoever received its file or signed",
             directory.refuse_request, bodies.RefusedRequest),
    _lists("request", "The requests to join, decided ones too", directory.join_requests, asking.AskedRequests,
           directory.JoinRequest, key=lambda row: row.id),
    _shows("request", "A request to join, and what was done to it", directory.show_request, asking.ThisRequest,
           directory.JoinRequest),
    _changes("session", "end", "End every session of an account, or one of them", directory.end_sessions,
             bodies.EndedSessions, answer=Ended),
    _lists("session", "The sessions that have not expired, the last used first", directory.open_sessions,
           asking.AskedSessions, directory.OpenSession),
    _lists("change", "Everything that was done to the directory, the first first", directory.changes,
           asking.AskedChanges, directory.Change, key=lambda row: row.id),
    *IMPORTS,
)  # fmt: skip
