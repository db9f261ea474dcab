"""Login, profile and first set-up. Each view parses a form, calls one function and renders a template."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required, login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView as DjangoLoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from engine.access import audit, policy, setup_token, tokens
from engine.access.forms import LoginForm, SetupForm, TokenForm
from engine.core.errors import RequestError

_BACKEND = "django.contrib.auth.backends.ModelBackend"


@method_decorator(login_not_required, name="dispatch")
class LoginView(DjangoLoginView):
    """Sign in. Too many wrong passwords close the door for a while (`locked_out`)."""

    template_name = "registration/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True


@login_not_required
def locked_out(request: HttpRequest, credentials: dict[str, Any] | None = None, *_: Any, **__: Any) -> HttpResponse:
    """What a person sees after too many wrong passwords; named in the setting AXES_LOCKOUT_CALLABLE."""
    form = LoginForm(request)
    context = {"form": form, "locked": True, "message": "Too many wrong passwords. Please try again in 15 minutes."}
    return render(request, "registration/login.html", context, status=429)


@never_cache
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    return _profile(request)


@sensitive_post_parameters()
@login_required
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the own password; other sessions of this person end, this one stays."""
    person = _person(request)
    form = PasswordChangeForm(person, request.POST)
    if not form.is_valid():
        return _profile(request, password_form=form, status=422)
    form.save()
    update_session_auth_hash(request, person)
    audit.write(person, "password.change", "user", person.pk, request=request)
    return _profile(request, message="Your password is changed. Other sessions have been signed out.")


@never_cache
@login_required
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Make an API token and show it in this very answer, the only place it ever appears."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _profile(request, token_form=form, status=422)
    with audit.acting_via("web"):
        plain = tokens.create(_person(request), form.cleaned_data["label"])
    return _profile(request, new_token=plain)


@login_required
@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    with audit.acting_via("web"):
        revoked = tokens.revoke(_person(request), token_id)
    if not revoked:
        return _profile(request, message="There is no such token any more.", status=404)
    return redirect("profile")


@sensitive_post_parameters()
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The first administrator, made through the link the console printed. Looking at it changes nothing."""
    if not setup_token.is_valid(token):
        return render(request, "registration/setup.html", {"form": None, "expired": True}, status=410)
    form = SetupForm(request.POST if request.method == "POST" else None)
    if not (request.method == "POST" and form.is_valid()):
        status = 422 if request.method == "POST" else 200
        return render(request, "registration/setup.html", {"form": form, "expired": False}, status=status)
    try:
        with audit.acting_via("web"):
            user = setup_token.redeem(token, form.cleaned_data["username"], form.cleaned_data["password1"])
    except RequestError as refused:
        form.add_error(None, str(refused))
        return render(request, "registration/setup.html", {"form": form, "expired": False}, status=refused.status)
    login(request, user, backend=_BACKEND)
    return HttpResponseRedirect("/")


def _profile(
    request: HttpRequest,
    *,
    password_form: PasswordChangeForm | None = None,
    token_form: TokenForm | None = None,
    new_token: str = "",
    message: str = "",
    status: int = 200,
) -> HttpResponse:
    person = _person(request)
    context = {
        "password_form": _without_focus(password_form or PasswordChangeForm(person)),
        "token_form": token_form or TokenForm(),
        "tokens": person.api_tokens.filter(revoked_at=None),
        "new_token": new_token,
        "message": message,
        "roles": [role for role in policy.ROLES if role in policy.roles_of(person)],
    }
    response = render(request, "registration/profile.html", context, status=status)
    if new_token:
        response["Cache-Control"] = "no-store"
    return response


def _without_focus(form: PasswordChangeForm) -> PasswordChangeForm:
    """The password stands low on the page: a page that opens there hides what most people come for."""
    form.fields["old_password"].widget.attrs.pop("autofocus", None)
    return form


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):  # the decorators above let nobody else in
        raise TypeError("this view needs a signed-in account")
    return request.user
