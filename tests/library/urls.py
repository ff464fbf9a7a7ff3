from django.urls import include, path

from tests.library import views

urlpatterns = [
    path("publishers.json", views.publishers_as_json),
    path("publishers-fixed.json", views.publishers_as_json_fixed),
    path("publishers/<int:pk>/", views.publisher),
    path("reviews/", views.ReviewList.as_view()),
    path("reviews-fixed/", views.ReviewListFixed.as_view()),
    path("cards/", views.AuthorCards.as_view()),
    path("cards-fixed/", views.AuthorCardsFixed.as_view()),
    path("orders/", views.OrderReport.as_view()),
    path("orders-fixed/", views.OrderReportFixed.as_view()),
    path("authors/<int:pk>/", views.AuthorPage.as_view(), name="author"),
    path("dashboard/", views.dashboard),
    path("cities/", views.async_cities),
    path("cities-fixed/", views.async_cities_fixed),
    path("me/", views.me),
    path("press/", include("tests.library.press_views")),
    path("admin/", views.site.urls),
]
