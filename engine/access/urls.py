"""Pages about the person: login, logout, profile, first set-up."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from engine.access import views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("profile/", views.profile, name="profile"),
    path("profile/password/", views.change_password, name="profile-password"),
    path("profile/tokens/", views.create_token, name="token-create"),
    path("profile/tokens/<int:token_id>/revoke/", views.revoke_token, name="token-revoke"),
    path("setup/<str:token>/", views.setup, name="setup"),
]
