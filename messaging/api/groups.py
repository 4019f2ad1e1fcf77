"""Serve the calls on groups: each parses, runs one use case and represents the result."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api.authentication import asking
from messaging.domain import group_requests
from messaging.domain.ids import wall_clock_ms
from messaging.http.group_representation import (
    present_group,
    present_members,
    present_refusals,
    present_requests,
    present_served,
)
from messaging.ports.groups import GroupView
from messaging.runtime.wiring import run
from messaging.service import group_reading, groups
from messaging.service.group_rules import Actor
from messaging.service.group_transfer import transfer
from messaging.service.membership_rules import Refusals


class CreateView(APIView):
    def post(self, request: Request) -> Response:
        actor = _actor(request)
        wanted = group_requests.parse_create(request.data, own_id=actor.user_id)
        judged = run(
            lambda backends: groups.create_group(
                backends,
                wanted.fields,
                actor=actor,
                user_ids=wanted.user_ids,
                request_id=wanted.request_id,
            )
        )
        view = groups.view_of(judged.changed, actor.user_id)
        return Response({**_group(view), "refused": present_refusals(judged.refused)})


class GroupInfoView(APIView):
    def get(self, request: Request, group_id: str) -> Response:
        user_id, wanted = asking(request).id, group_requests.parse_group({"groupId": group_id})
        view = run(lambda backends: group_reading.view_group(backends, wanted, reader_id=user_id))
        return Response(_group(view))


class UpdateView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_update(request.data)
        changed = run(
            lambda backends: groups.update(backends, wanted.group_id, wanted.fields, actor=actor)
        )
        return Response(_group(groups.view_of(changed, actor.user_id)))


class JoinView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_join(request.data)
        is_in = run(
            lambda backends: groups.join(backends, wanted.group_id, wanted.text, actor=actor)
        )
        state = "joined" if is_in else "requested"
        return Response({"groupId": str(wanted.group_id), "state": state})


class AnswerView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_answer(request.data)
        run(
            lambda backends: groups.answer(
                backends, wanted.group_id, wanted.user_id, accepts=wanted.accept, actor=actor
            )
        )
        return Response(_named(wanted.group_id, wanted.user_id) | {"accept": wanted.accept})


class InviteView(APIView):
    def post(self, request: Request) -> Response:
        actor = _actor(request)
        wanted = group_requests.parse_users(request.data, own_id=actor.user_id)
        refused = run(
            lambda backends: groups.invite(backends, wanted.group_id, wanted.user_ids, actor=actor)
        )
        return Response(_judged("added", wanted, refused))


class LeaveView(APIView):
    def post(self, request: Request) -> Response:
        actor, group_id = _actor(request), group_requests.parse_group(request.data)
        run(lambda backends: groups.leave(backends, group_id, actor=actor))
        return Response({"groupId": str(group_id)})


class RemoveView(APIView):
    def post(self, request: Request) -> Response:
        actor = _actor(request)
        wanted = group_requests.parse_users(request.data, own_id=actor.user_id)
        refused = run(
            lambda backends: groups.remove(
                backends, wanted.group_id, wanted.user_ids, bans=wanted.ban, actor=actor
            )
        )
        return Response(_judged("removed", wanted, refused))


class UnbanView(APIView):
    def post(self, request: Request) -> Response:
        actor = _actor(request)
        wanted = group_requests.parse_users(request.data, own_id=actor.user_id)
        refused = run(
            lambda backends: groups.unban(backends, wanted.group_id, wanted.user_ids, actor=actor)
        )
        return Response(_judged("unbanned", wanted, refused))


class RoleView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_role(request.data)
        run(
            lambda backends: groups.set_role(
                backends, wanted.group_id, wanted.user_id, wanted.role, actor=actor
            )
        )
        return Response(_named(wanted.group_id, wanted.user_id) | {"role": wanted.role.value})


class TransferView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_transfer(request.data)
        run(lambda backends: transfer(backends, wanted.group_id, wanted.user_id, actor=actor))
        return Response(_named(wanted.group_id, wanted.user_id))


class MuteView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_mute(request.data)
        until = run(
            lambda backends: groups.mute(
                backends, wanted.group_id, wanted.user_id, wanted.for_s, actor=actor
            )
        )
        return Response(_named(wanted.group_id, wanted.user_id) | {"mutedUntil": until})


class NicknameView(APIView):
    def post(self, request: Request) -> Response:
        actor, wanted = _actor(request), group_requests.parse_nickname(request.data)
        run(
            lambda backends: groups.set_nickname(
                backends, wanted.group_id, wanted.nickname, actor=actor
            )
        )
        return Response({"groupId": str(wanted.group_id), "nickname": wanted.nickname})


class DissolveView(APIView):
    def post(self, request: Request) -> Response:
        actor, group_id = _actor(request), group_requests.parse_group(request.data)
        run(lambda backends: groups.dissolve(backends, group_id, actor=actor))
        return Response({"groupId": str(group_id)})


class MembersView(APIView):
    def get(self, request: Request) -> Response:
        user_id = asking(request).id
        wanted = group_requests.parse_members(request.query_params.dict())
        page = run(lambda backends: group_reading.list_members(backends, wanted, reader_id=user_id))
        return Response(present_members(page, now_ms=wall_clock_ms()))


class RequestsView(APIView):
    def get(self, request: Request) -> Response:
        user_id = asking(request).id
        wanted = group_requests.parse_requests(request.query_params.dict())
        page = run(
            lambda backends: group_reading.list_requests(backends, wanted, reader_id=user_id)
        )
        return Response(present_requests(page))


def _actor(request: Request) -> Actor:
    return Actor(user_id=asking(request).id)


def _group(view: GroupView) -> dict[str, object]:
    return {"group": present_group(view.group, view.member, now_ms=wall_clock_ms())}


def _named(group_id: int, user_id: int) -> dict[str, object]:
    return {"groupId": str(group_id), "userId": str(user_id)}


def _judged(
    served: str, wanted: group_requests.UsersRequest, refused: Refusals
) -> dict[str, object]:
    return {
        served: present_served(wanted.user_ids, refused),
        "refused": present_refusals(refused),
    }
