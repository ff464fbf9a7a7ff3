"""Views and an admin as one finds them: some ask for each row, their twins do not."""

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views import View
from django.views.generic import DetailView, ListView

from tests.library.models import Author, Book, Order, Publisher, Review


def publishers_as_json(request: HttpRequest) -> JsonResponse:
    data = []
    for publisher in Publisher.objects.order_by("pk"):  # <- queryset
        names = [author.name for author in publisher.authors.all()]  # <- here
        data.append({"name": publisher.name, "authors": names})
    return JsonResponse(data, safe=False)


def publishers_as_json_fixed(request: HttpRequest) -> JsonResponse:
    publishers = Publisher.objects.order_by("pk").prefetch_related("authors")
    data = [{"name": p.name, "authors": [a.name for a in p.authors.all()]} for p in publishers]
    return JsonResponse(data, safe=False)


class ReviewList(ListView):
    model = Review
    ordering = "pk"


class ReviewListFixed(ReviewList):
    queryset = Review.objects.select_related("reviewer")


class AuthorCards(ListView):
    template_name = "library/cards.html"

    def get_queryset(self):
        return Author.objects.filter(active=True).order_by("pk")  # <- queryset


class AuthorCardsFixed(AuthorCards):
    def get_queryset(self):
        return super().get_queryset().select_related("profile")


class OrderReport(View):
    """A class of its own with its steps in methods."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("\n".join(self.lines(self.orders())))

    def orders(self):
        return Order.objects.order_by("number")  # <- queryset

    def lines(self, orders):
        for order in orders:
            yield f"{order} for {self.buyer(order)}"

    def buyer(self, order: Order) -> str:
        return order.buyer.name  # <- here


class OrderReportFixed(OrderReport):
    def orders(self):
        return Order.objects.select_related("buyer").order_by("number")


class AuthorPage(DetailView):
    model = Author
    template_name = "library/author.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(books=self.object.books.all(), **kwargs)


def dashboard(request: HttpRequest) -> HttpResponse:
    counts = {
        "authors": Author.objects.count(),
        "books": Book.objects.count(),
        "reviews": Review.objects.count(),
        "bad": Review.objects.filter(stars=1).count(),
        "good": Review.objects.filter(stars=5).count(),
    }
    return HttpResponse(str(counts))


def publisher(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Publisher.objects.annotate(size=Count("authors")), pk=pk)
    return render(request, "library/counted.html", {"publishers": [one]})


async def async_cities(request: HttpRequest) -> JsonResponse:
    cities = []
    async for author in Author.objects.order_by("pk"):  # <- queryset
        house = await Publisher.objects.aget(pk=author.publisher_id)  # <- here
        cities.append(house.city)
    return JsonResponse(cities, safe=False)


async def async_cities_fixed(request: HttpRequest) -> JsonResponse:
    authors = Author.objects.select_related("publisher").order_by("pk")
    return JsonResponse([author.publisher.city async for author in authors], safe=False)


def me(request: HttpRequest) -> HttpResponse:
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return HttpResponse(f"{request.user.get_username()} {visits}")


site = admin.AdminSite(name="library-admin")


@admin.register(Book, site=site)
class BookAdmin(admin.ModelAdmin):
    list_display = ("title", "author", "pages")
    list_select_related = ("author",)


@admin.register(Review, site=site)
class ReviewAdmin(admin.ModelAdmin):
    """Its column follows two relations, which no setting of its tells Django."""

    list_display = ("stars", "writer")  # <- queryset

    @admin.display
    def writer(self, review: Review) -> str:
        return review.book.author.name  # <- here


@admin.register(Order, site=site)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "status")
