# frozen_string_literal: true

require_relative 'json_line'

module Irmgard
  # Values of a flat object (`fields`, other labels): one field of the index holds them all, and Lucene's limits apply.
  # Lucene takes no term over 32,766 bytes and rejects the document: path and value together stay below.
  module Flat
    MAX_DEPTH = 10
    MAX_NAME_BYTES = 512
    MAX_TERM_BYTES = 8191
    # What OpenSearch takes for no name at all.
    BLANK = /\A[[:space:]\u001c-\u001f]*\z/

    module_function

    def blank?(name)
      BLANK.match?(name)
    end

    # Each of these calls the block when it has cut something.
    def name(name, &cut)
      blank?(name) ? '_' : shortened(name, MAX_NAME_BYTES, &cut)
    end

    def text(value, &cut)
      shortened(JsonLine.text(value), MAX_TERM_BYTES, &cut)
    end

    # The value as a member; nil says nothing.
    def value(value, depth = 1, &cut)
      case value
      when String then shortened(value, MAX_TERM_BYTES, &cut)
      when Array, Hash then depth > MAX_DEPTH ? text(value, &cut) : inner(value, depth + 1, &cut)
      else value
      end
    end

    def inner(value, depth, &cut)
      return value.map { |member| value(member, depth, &cut) }.compact if value.is_a?(Array)

      members = Members.new
      sorted(value).each do |name, member|
        member = value(member, depth, &cut)
        members.keep(name(name, &cut), member) unless member.nil?
      end
      members.all
    end

    # In the order of their names where some may become the same.
    def sorted(object)
      object.each_key.any? { |name| name.bytesize > MAX_NAME_BYTES || blank?(name) } ? object.sort_by(&:first) : object
    end

    def shortened(text, bytes)
      return text if text.bytesize <= bytes

      yield
      text.byteslice(0, bytes).scrub('')
    end

    # The members of one flat object. Names that become the same (blank ones, and long ones that are cut) are told apart by
    # a number at their end, in the order in which they come.
    class Members
      attr_reader :all

      def initialize
        @all = {}
      end

      def keep(name, value)
        return @all[name] = value unless @all.key?(name)

        @numbers ||= Hash.new(1)
        free = numbered(name)
        free = numbered(name) while @all.key?(free)
        @all[free] = value
      end

      private

      def numbered(name)
        ending = "_#{@numbers[name] += 1}"
        Flat.shortened(name, MAX_NAME_BYTES - ending.bytesize) {} + ending
      end
    end
  end
end
